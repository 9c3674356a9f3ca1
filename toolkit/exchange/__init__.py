"""The exchange double: Alpaca's REST and WebSocket protocols, served from this machine.

Books (`orders`, `account`, `book`), the tape of the market (`tape`) and the schedule of faults
(`faults`) are pure and take the time as an argument; `exchange` ties them together; `server` and
the `web_*` and `*_stream` modules put them on the wire. Times inside are whole microseconds of
the Unix epoch.
"""
