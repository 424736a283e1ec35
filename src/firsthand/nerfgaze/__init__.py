"""NeRF-Gaze: a head and two eyes as radiance fields, turned to look where you ask."""
