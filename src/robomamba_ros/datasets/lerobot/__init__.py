"""LeRobot data sets, read (v2.0, v2.1, v3.0) and written (v3.0) without the package `lerobot`."""

from robomamba_ros.errors import BackendError

try:
    import cv2  # noqa: F401
    import pyarrow.parquet  # noqa: F401
except ImportError as error:
    raise BackendError(
        f"LeRobot data sets need the package '{error.name}': pip install 'robomamba_ros[lerobot]'"
    ) from error
