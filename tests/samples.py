"""One message of each kind, and parts of bundles, for tests."""

from __future__ import annotations

from emtc_contract.messages import (
    ALERT_SCHEMA,
    Alert,
    Endpoint,
    Family,
    Health,
    Info,
    Model,
    Peer,
    Reason,
    Status,
)

MODEL = Model(name="edge-v1-default", version=3, sha8="0123abcd", runtime="onnxruntime")
STATUS = Status(state="online", boot="b1")
INFO = Info(
    agent="0.1.0",
    bundle="edge-v1-default",
    bundle_version=3,
    bundle_sha8="0123abcd",
    schema="edge-v1",
    schema_digest="sha256:00",
    runtime="onnxruntime",
    interfaces=("eth0",),
    boot="b1",
)
HEALTH = Health(
    ts="2026-01-01T00:00:00.000Z",
    boot="b1",
    packets=1,
    malformed=0,
    dropped=0,
    endpoints=1,
    windows=1,
    scored=1,
    incidents_open=0,
    rss_bytes=1,
)
ALERT = Alert(
    schema=ALERT_SCHEMA,
    id="01JDQ7W0000000000000000000",
    seq=0,
    boot="b1",
    state="new",
    ts="2026-01-01T00:00:05.000Z",
    first_seen="2026-01-01T00:00:00.000Z",
    last_seen="2026-01-01T00:00:05.000Z",
    windows=4,
    severity_id=4,
    score=12.5,
    threshold=3.0,
    p_value=0.0004,
    family=Family(name="recon", confidence=1.0),
    endpoint=Endpoint(id="02:00:00:00:00:07", kind="mac", ip="10.0.0.7", mac="02:00:00:00:00:07"),
    reasons=(Reason(feature="remote_ports", value=32, usual_low=1, usual_high=4, share=0.61),),
    peers=(Peer(ip="10.0.0.13", windows=4),),
    ports=(22, 80),
    model=MODEL,
    text="10.0.0.7 (02:00:00:00:00:07) looks like a scan: remote ports 32 (usual 1 to 4); 4 windows in 5 s",
)
