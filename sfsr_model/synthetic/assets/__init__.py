"""Readers of MakeHuman's own files: meshes, targets, proxies, rigs, pose units and pictures."""

from .obj import Mesh, read_obj, triangulate
from .pictures import decode_picture, encode_picture, read_picture
from .poses import pose_unit_morphs, read_mhpose
from .proxy import Proxy, read_proxy
from .target import read_target

__all__ = [
    "Mesh",
    "Proxy",
    "decode_picture",
    "encode_picture",
    "pose_unit_morphs",
    "read_mhpose",
    "read_obj",
    "read_picture",
    "read_proxy",
    "read_target",
    "triangulate",
]
