"""rosbag2 recordings, read and written without ROS, by the package `rosbags`."""

from robomamba_ros.errors import BackendError

try:
    import rosbags  # noqa: F401
except ImportError as error:
    raise BackendError(
        f"bags need the package '{error.name}': pip install 'robomamba_ros[bags]'"
    ) from error
