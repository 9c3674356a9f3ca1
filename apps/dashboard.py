"""The dashboard of a running bot.

    TOOLKIT_URL=http://127.0.0.1:9765 TOOLKIT_TOKEN=... python apps/dashboard.py

or, with the same environment, `panel serve apps/dashboard.py`. TOOLKIT_DASHBOARD_PORT (9766) is
the port of the former. The token is taken from the environment only: command lines are public.
"""

import os
import sys

import panel as pn

from toolkit.session.launch import connect
from toolkit.views.dashboard.app import Dashboard, main

if pn.state.served:
    dashboard = pn.state.as_cached(
        "toolkit",
        lambda: Dashboard(
            connect(os.environ["TOOLKIT_URL"], token=os.environ["TOOLKIT_TOKEN"]).client
        ),
    )
    dashboard.build().servable()
elif __name__ == "__main__":
    sys.exit(main())
