"""Colours, and the numbers at which panels change theirs."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Colours by Okabe and Ito, which people with any kind of colour blindness can tell apart.
SKY, ORANGE, GREEN, YELLOW, BLUE, RED, PINK, GREY = (
    "#56B4E9", "#E69F00", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
GOOD, WARN, BAD = SKY, ORANGE, RED

OUTCOMES = {"created": SKY, "adopted": GREEN, "skipped": GREY, "conflict": ORANGE, "failed": RED, "cancelled": PINK}
ENDS = {"done": SKY, "snoozed": GREY, "retried": ORANGE, "dead": RED}
STATES = {"leased": SKY, "ready": GREEN, "queued": BLUE, "scheduled": GREY, "retrying": ORANGE, "dead": RED}
BATCHES = {"open": GREY, "provisioned": ORANGE, "verified": SKY}
STATUSES = {"2xx": SKY, "4xx": YELLOW, "429": ORANGE, "5xx": RED, "other": GREY, "none": PINK}
OPERATIONS = {"create_user": SKY, "get_user": GREEN, "search_users": ORANGE, "update_user": PINK,
              "delete_user": RED, "get_connections": BLUE, "token": YELLOW}
STEPS = {"lease": SKY, "read_batch": GREEN, "write_back": ORANGE, "write_readings": PINK, "conclude": YELLOW, "renew": BLUE}
QUEUES = {"provision": SKY, "verify": ORANGE, "report": GREEN}
GROUPS = {"user_writes": SKY, "user_reads": ORANGE, "rest": GREEN, "read_back": PINK}
STORES = {"ledger": ORANGE, "queue": SKY}
DEPENDENCIES = {"auth0": SKY, "ledger": ORANGE}
QUANTILES = {"p50": SKY, "p95": ORANGE, "p99": RED}


@dataclass(frozen=True)
class Limit:
    """A number at which a panel changes its colour, and the alert that it is taken from."""
    value: float
    alert: Optional[str] = None
    # As the alert writes it, where that is not the number itself.
    written: Optional[str] = None
    color: str = WARN


# --- the numbers of ops/prometheus/alerts.yml; tests/ops-grafana compares them

FAILING = [Limit(0.05, "FerryFailureRatio"), Limit(0.5, "FerryFailureRatioHigh", color=BAD)]
NEEDS_PERSON = [Limit(1, "FerryMigrationErrors", "> 0")]
FAR_AWAY = [Limit(3600, "FerryFallingBehind")]
PAUSED = [Limit(3600, "FerryForgottenPause")]
THROTTLED = [Limit(0.02, "FerryRateLimited")]
SLOWED_DOWN = [Limit(0.5, "FerryRateReduced")]
AGES = [Limit(60, "FerryOldestAge", color=GREEN), Limit(300, "FerryVerifierLag"), Limit(600, "FerryStuck", color=BAD)]
DEAD = [Limit(1, "FerryDeadLetters", "> 0", BAD)]
BURNING = [Limit(0.06, "FerryQueueingBurnSlow", "6 * 0.01"), Limit(0.144, "FerryQueueingBurnFast", "14.4 * 0.01", BAD),
           Limit(0.06, "FerryExecutionBurnSlow", "6 * 0.01"), Limit(0.144, "FerryExecutionBurnFast", "14.4 * 0.01", BAD)]
RESCUED = [Limit(60, "FerryRescues")]
FOREIGN = [Limit(1, "FerryForeignDeliveries", "> 0", BAD)]
BUSY = [Limit(0.9, "FerrySaturated")]
SLOW = [Limit(2, "FerryApiSlow")]
SKEW = [Limit(-5, "FerryClockSkew", "> 5", GOOD), Limit(5, "FerryClockSkew", "> 5")]
NO_WORKER = [Limit(1, "FerryNoWorker", "== 0", GOOD)]
ONE_RELAY = [Limit(1, "FerryNoRelay", "== 0", GOOD), Limit(2, "FerryTwoRelays", "> 1")]
ONE_EXPORTER = [Limit(1, "FerryNoExporter", "== 0", GOOD)]
VERSIONS = [Limit(2, "FerryMixedVersions", "> 1")]
STORE_UP = [Limit(1, "FerryLedgerDown", "== bool 0", GOOD), Limit(1, "FerryQueueDown", "== bool 0", GOOD)]
BREAKER = [Limit(1, "FerryBreakerOpen", "> 0", BAD)]
# Without an alert: docs/TELEMETRY.md says what happens there.
RENEWAL, TURN = 6, 10
# Targets for the application that is moved, which nobody of Ferry measures.
SIGN_IN = [Limit(0.95, color=GOOD)]
VALIDATION = [Limit(0.1)]
