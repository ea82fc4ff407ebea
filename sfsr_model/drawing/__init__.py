"""Faces drawn as lines, as ControlNetMediaPipeFace was trained on them: of photos, and of expressions that are wanted."""
