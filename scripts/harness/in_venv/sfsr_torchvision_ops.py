"""Put into an environment whose torch is a CPU build while its torchvision is linked to CUDA.

Such a torchvision cannot load its C extension, and its import then stops because two operators that the extension
would have declared do not exist. Declaring them (without kernels) lets everything written in Python work.
"""

import importlib.abc
import sys

_DECLARATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A declaration lives as long as its Library object.
_libraries = []


class _DeclareBeforeTorchvision(importlib.abc.MetaPathFinder):
    """Acts once, at the first import of torchvision; finds nothing itself."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            import torch  # every start of the interpreter would pay for it

            if torch.version.cuda is None:
                library = torch.library.Library("torchvision", "DEF")
                for declaration in _DECLARATIONS:
                    library.define(declaration)
                _libraries.append(library)


def install():
    """Called from a .pth file at the start of the interpreter, which may read it twice: lib and lib64 can be one folder."""
    if not any(isinstance(finder, _DeclareBeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DeclareBeforeTorchvision())
