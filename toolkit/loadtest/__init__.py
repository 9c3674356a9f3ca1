"""The load test that ships with the package: many cheap clients, our server, a stock one.

Server, clients and troublemakers are processes of their own (`target`, `worker`, `offenders`);
`bench` drives them over `channel`, `search` says which rates to try, `report` shows the result.
"""
