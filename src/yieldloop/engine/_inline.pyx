# The compiled twin of _inline.py: nothing is left to do here, since the functions stand in the .pxd.
