"""`python -m robomamba_ros` is `robomamba`."""

from robomamba_ros.cli.main import main

if __name__ == '__main__':
    raise SystemExit(main())
