"""The sign-in of users, by metrics of the application."""
from board import *
from limits import *
from panels import *

NEEDS = """Ferry moves users and does not see them sign in. **These panels are empty until the application exports two metrics** \
and Prometheus scrapes it:

| metric | type | labels | meaning |
|---|---|---|---|
| `auth_attempts_total` | counter | `result`: `success`, or a short word for the reason | attempts to sign in |
| `jwt_validation_seconds` | histogram | | time to validate one token; bounds around 0.1 s, such as 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1 |

Start each `result` at 0, and put no name, address or id into a label. Targets: more than 95 % of the attempts succeed, \
a token is validated in less than 100 ms."""


def app(expr: str, legend: str = "") -> Query:
    return Query(expr, legend, quiet=True, application=True)


ATTEMPTS = "sum(rate(auth_attempts_total[5m]))"
SUCCEEDED = share('sum(rate(auth_attempts_total{result="success"}[5m]))', ATTEMPTS)
SIGN_IN_BOARD = Dashboard(
    "ferry-authentication", "Ferry: Authentication", "Whether users can sign in after the move. Needs metrics of the application.",
    sections=[
        Section("What is needed", 8, [Text("Metrics of the application", NEEDS, 24, 8)]),
        Section("Now", 4, [
            Stat("Sign-in success", "Attempts of the last 5 minutes that succeeded. The target is more than 95 %.",
                 [app(SUCCEEDED)], "percentunit", 6, base=BAD, limits=SIGN_IN, decimals=1, nothing="no data"),
            Stat("Attempts per second", "Attempts to sign in during the last 5 minutes.", [app(ATTEMPTS)], "cps", 6, decimals=2, nothing="no data"),
            Stat("Failed attempts", "Attempts of the last 5 minutes that did not succeed.",
                 [app('sum(increase(auth_attempts_total{result!="success"}[5m]))')], "short", 6, decimals=0, nothing="no data"),
            Stat("Token validation, p95", "95 % of the tokens of 5 minutes were validated faster. The target is less than 100 ms.",
                 [app(quantile("0.95", "jwt_validation_seconds", "", window="5m"))], "s", 6, limits=VALIDATION, nothing="no data"),
        ]),
        Section("Over time", 8, [
            Lines("Sign-in success over time", "Share of attempts that succeeded, over 5 minutes. The dashed line is the target.",
                  [app(SUCCEEDED, "share")], "percentunit", 12, low=0, high=1, base=BAD, limits=SIGN_IN, colors={"share": SKY}),
            Lines("Attempts by result", "Attempts to sign in a second, by result.",
                  [app("sum by (result) (rate(auth_attempts_total[$__rate_interval]))", "{{result}}")], "cps", 12, low=0, stacked=True,
                  colors={"success": SKY}),
            Lines("Token validation time", "Quantiles of 5 minutes. The dashed line is the target.",
                  quantiles("jwt_validation_seconds", "", window="5m", application=True), "s", 12, low=0, limits=VALIDATION, colors=QUANTILES),
            Heatmap("Token validation times", "How many validations took how long.",
                    [app("sum by (le) (increase(jwt_validation_seconds_bucket[$__rate_interval]))", "{{le}}")], "s", 12),
        ]),
    ])
