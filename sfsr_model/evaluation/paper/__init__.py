"""The paper's own study on rendered faces: its Figures 1 to 4 and Table 1, a part each."""
