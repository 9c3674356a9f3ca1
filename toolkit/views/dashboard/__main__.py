"""`python -m toolkit.views.dashboard` serves what the environment says; see `app.main`."""

import sys

from toolkit.views.dashboard.app import main

if __name__ == "__main__":
    sys.exit(main())
