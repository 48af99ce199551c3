"""Only what a trusted key signed is opened, and no older version than before."""

import shutil
import subprocess

import msgspec
import pytest

from bundles import members, write
from emtc_agent.detector import load_bundle
from emtc_agent.detector.versions import require_newest
from emtc_contract.errors import BundleError, EmtcError, InputError
from emtc_export import signing

MINISIGN = shutil.which("minisign")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return signing.generate(tmp_path_factory.mktemp("keys") / "maker", "")


@pytest.fixture
def signed(bundle_file, tmp_path, keys):
    path = shutil.copy(bundle_file, tmp_path / "b.bundle")
    signing.sign(path, keys[1], "")
    return path


def test_a_signed_bundle_loads(signed, keys, tmp_path):
    assert load_bundle(signed, [keys[0]]).manifest.name == "small"
    other, _ = signing.generate(tmp_path / "other", "")
    assert load_bundle(signed, [other, keys[0]]).manifest.name == "small"


def test_any_changed_octet_is_refused_before_the_zip_is_opened(signed, keys):
    good = signed.read_bytes()
    for at in range(0, len(good), len(good) // 50):
        signed.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(BundleError, match=r"b\.bundle: not as its maker signed it"):
            load_bundle(signed, [keys[0]])
    signed.write_bytes(good + b"x")
    with pytest.raises(BundleError, match="not as its maker signed it"):
        load_bundle(signed, [keys[0]])


def test_a_changed_member_under_a_matching_manifest_is_refused_too(signed, keys):
    write(signed, members(signed) | {"MODEL_CARD.md": b"trust me"})
    with pytest.raises(BundleError, match="not as its maker signed it"):
        load_bundle(signed, [keys[0]])


def test_a_signature_that_does_not_belong_is_refused(signed, keys, tmp_path):
    signature = signed.with_name("b.bundle.minisig")
    other, _ = signing.generate(tmp_path / "other", "")
    with pytest.raises(BundleError, match=r"b\.bundle.*other\.pub"):
        load_bundle(signed, [other])
    good = signature.read_bytes()
    signature.write_bytes(good.replace(b"version 3", b"version 9"))
    with pytest.raises(BundleError, match="not as its maker signed it"):
        load_bundle(signed, [keys[0]])
    for broken in (b"", b"junk", good[:100], b"\xff" * 300, b"x\n" * 9):
        signature.write_bytes(broken)
        with pytest.raises(BundleError, match=r"b\.bundle\.minisig: not a minisign signature"):
            load_bundle(signed, [keys[0]])
    signature.unlink()
    with pytest.raises(BundleError, match=r"not signed: b\.bundle\.minisig"):
        load_bundle(signed, [keys[0]])
    assert load_bundle(signed).manifest.name == "small", "without a key, anybody's bundle is taken"


@pytest.mark.parametrize("content", [None, b"", b"junk\njunk", b"\xff\xfe" * 99])
def test_keys_that_are_none_are_named(signed, tmp_path, content):
    key = tmp_path / "bad.pub"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pub"):
        load_bundle(signed, [key])
    with pytest.raises(InputError, match=r"bad\.pub"):
        signing.sign(signed, key, "")


def test_secret_keys_are_private_encrypted_and_never_replaced(signed, tmp_path):
    public, secret = signing.generate(tmp_path / "mine", "pass word")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert signing.is_encrypted(secret)
    with pytest.raises(InputError, match="wrong password"):
        signing.sign(signed, secret, "guess")
    with pytest.raises(InputError, match="encrypted"):
        signing.sign(signed, secret, "")
    signing.sign(signed, secret, "pass word")
    assert load_bundle(signed, [public])
    with pytest.raises(InputError, match=r"mine\.key: File exists"):
        signing.generate(tmp_path / "mine", "")


def test_only_good_bundles_are_signed(tmp_path, keys):
    (tmp_path / "none.bundle").write_bytes(b"junk")
    with pytest.raises(BundleError, match="not a readable zip"):
        signing.sign(tmp_path / "none.bundle", keys[1], "")


@pytest.mark.skipif(MINISIGN is None, reason="minisign is not installed")
def test_minisign_agrees(signed, keys, tmp_path):
    def minisign(*arguments):
        return subprocess.run([MINISIGN, *map(str, arguments)], capture_output=True, text=True, check=False)

    done = minisign("-V", "-p", keys[0], "-m", signed)
    assert done.returncode == 0, done.stderr
    assert "small version 3" in done.stdout
    assert minisign("-G", "-W", "-p", tmp_path / "its.pub", "-s", tmp_path / "its.key").returncode == 0
    assert minisign("-S", "-s", tmp_path / "its.key", "-m", signed).returncode == 0
    assert load_bundle(signed, [tmp_path / "its.pub"])
    signing.sign(signed, tmp_path / "its.key", "")
    assert minisign("-V", "-p", tmp_path / "its.pub", "-m", signed).returncode == 0


def test_older_versions_are_refused_unless_allowed(bundle, tmp_path):
    state = tmp_path / "versions.json"

    def use(version, *, allow_older=False, name="small"):
        manifest = msgspec.structs.replace(bundle.manifest, version=version, name=name)
        require_newest(manifest, state, allow_older=allow_older)

    use(3)
    use(3)
    use(1, name="another")
    use(5)
    with pytest.raises(BundleError, match="small version 4 is older than 5"):
        use(4)
    use(4, allow_older=True)
    use(4)
    assert msgspec.json.decode(state.read_bytes()) == {"small": 4, "another": 1}
    assert list(tmp_path.iterdir()) == [state]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"small": "x"}', b"\xff"])
def test_a_broken_record_of_versions_is_an_error_not_a_way_around(bundle, tmp_path, content):
    state = tmp_path / "versions.json"
    state.write_bytes(content)
    with pytest.raises(InputError, match=r"versions\.json"):
        require_newest(bundle.manifest, state, allow_older=False)
    with pytest.raises(EmtcError, match="missing"):
        require_newest(bundle.manifest, tmp_path / "missing" / "v.json", allow_older=False)
