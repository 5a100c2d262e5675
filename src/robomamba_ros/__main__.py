"""`python -m robomamba_ros` is `robomamba`."""

from robomamba_ros.executables import robomamba

if __name__ == '__main__':
    robomamba()
