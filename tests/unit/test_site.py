"""What a site gives to builds: found, filtered, handed over as secrets, and never shown."""

from __future__ import annotations

import configparser

import pytest

from orchestrator.errors import EngineError
from orchestrator.host import site as site_module
from orchestrator.host.site import SECRET_LIMIT, build_settings, discover

ONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
TWO = "-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pip_of(settings) -> dict[str, list[str]]:
    """The options that pip would read from the secret."""
    parser = configparser.RawConfigParser()
    parser.read(settings.secrets["pip-conf"])
    return {name: value.split() for name, value in parser.items("global")}


def test_a_bare_host_gives_nothing(tmp_path):
    found = discover({}, tmp_path)
    settings = build_settings(found, tmp_path)
    assert dict(settings.secrets) == {}
    assert dict(settings.proxies) == {}


def test_the_ca_bundle_is_the_one_that_mlorch_is_told_before_other_programs_and_the_host(tmp_path):
    hosts = write(tmp_path / "etc/ssl/certs/ca-certificates.crt", ONE)
    own, other = write(tmp_path / "own.pem", TWO), write(tmp_path / "other.pem", ONE)
    env = {"MLORCH_CA_BUNDLE": str(own), "REQUESTS_CA_BUNDLE": str(other)}
    assert discover(env, tmp_path).ca_bundle == own
    del env["MLORCH_CA_BUNDLE"]
    assert (discover(env, tmp_path).ca_bundle, discover(env, tmp_path).ca_origin) == (other, "REQUESTS_CA_BUNDLE")
    assert discover({}, tmp_path).ca_bundle == hosts


def test_other_distributions_keep_the_bundle_elsewhere(tmp_path):
    bundle = write(tmp_path / "etc/pki/tls/certs/ca-bundle.crt", ONE)
    assert discover({}, tmp_path).ca_bundle == bundle


def test_what_mlorch_is_told_comes_before_the_host_and_a_variable_before_a_setting(tmp_path):
    own, other = write(tmp_path / "own.pem", TWO), write(tmp_path / "other.pem", ONE)
    write(tmp_path / "etc/apt/sources.list", "deb http://host/debian bookworm main\n")
    settings = {
        "ca_bundle": str(own),
        "pip_index": "https://setting/simple",
        "debian_mirror": "http://setting/debian",
        "debian_security_mirror": "http://setting/security",
    }
    found = discover({"SSL_CERT_FILE": str(other)}, tmp_path, settings=settings)
    assert found.ca_bundle == own
    assert found.pip["index-url"] == ("https://setting/simple",)
    assert found.archives == {
        "main": ("http://setting/debian", "http://host/debian"), "security": ("http://setting/security",)
    }  # fmt: skip
    variables = {
        "MLORCH_CA_BUNDLE": str(other),
        "MLORCH_PIP_INDEX": "https://variable/simple",
        "MLORCH_DEBIAN_MIRROR": "http://variable/debian",
    }
    found = discover({**variables, "PIP_INDEX_URL": "https://pip/simple"}, tmp_path, settings=settings)
    assert found.ca_bundle == other
    assert found.pip["index-url"] == ("https://variable/simple",)
    assert found.archives["main"] == ("http://variable/debian", "http://host/debian")
    found = discover({"PIP_INDEX_URL": "https://pip/simple"}, tmp_path, settings=settings)
    assert found.pip["index-url"] == ("https://pip/simple",), "as near to the command as a variable of mlorch's"


def test_where_logins_and_certificates_of_registries_lie(tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir()
    env = {"HOME": "/home/me", "REGISTRY_AUTH_FILE": "/a.json", "XDG_RUNTIME_DIR": str(runtime)}
    found = discover(env, tmp_path)
    assert list(map(str, found.registry_logins)) == [
        "/a.json", "/home/me/.docker/config.json", f"{runtime}/containers/auth.json"
    ]  # fmt: skip
    assert str(found.registry_certificates[0]) == "/home/me/.config/mlorch/certs.d"
    env = {"DOCKER_CONFIG": "/d", "XDG_CONFIG_HOME": "/c", "HOME": "/home/me"}
    found = discover(env, tmp_path)
    assert (str(found.registry_logins[0]), str(found.registry_certificates[0])) == (
        "/d/config.json",
        "/c/mlorch/certs.d",
    )


def test_a_bundle_that_mlorch_was_told_and_is_none_stops_and_one_of_another_program_is_noted(tmp_path):
    empty = write(tmp_path / "empty.pem", "no certificate\n")
    with pytest.raises(EngineError) as caught:
        discover({"MLORCH_CA_BUNDLE": str(empty)}, tmp_path)
    assert caught.value.slug == "ca-bundle"
    found = discover({"SSL_CERT_FILE": str(tmp_path / "absent.pem")}, tmp_path)
    assert found.ca_bundle is None
    assert "absent.pem" in found.notes[0]


def test_only_certificates_go_into_a_build_each_once_and_only_the_user_may_read_them(tmp_path):
    bundle = write(tmp_path / "all.pem", f"# a comment\n{ONE}{KEY}{TWO}{ONE}")
    settings = build_settings(discover({"MLORCH_CA_BUNDLE": str(bundle)}, tmp_path), tmp_path)
    secret = settings.secrets["site-ca"]
    assert secret.read_text() == ONE + TWO
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_bundle_larger_than_buildkit_takes_is_told_before_the_build(tmp_path):
    one = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    count = SECRET_LIMIT // len(one.format("0" * 1000)) + 1
    bundle = write(tmp_path / "big.pem", "".join(one.format(f"{n:01000}") for n in range(count)))
    with pytest.raises(EngineError) as caught:
        build_settings(discover({"MLORCH_CA_BUNDLE": str(bundle)}, tmp_path), tmp_path)
    assert caught.value.slug == "secret-size"
    assert "500 KiB" in caught.value.message
    assert "MLORCH_CA_BUNDLE" in caught.value.hint


def test_a_proxy_reaches_programs_of_either_spelling_and_lower_case_wins(tmp_path):
    env = {"HTTPS_PROXY": "http://upper:1", "http_proxy": "http://lower:2", "HTTP_PROXY": "http://loses:3"}
    env["NO_PROXY"] = "localhost,.site"
    proxies = build_settings(discover(env, tmp_path), tmp_path).proxies
    assert proxies == {
        "https_proxy": "http://upper:1",
        "HTTPS_PROXY": "http://upper:1",
        "http_proxy": "http://lower:2",
        "HTTP_PROXY": "http://lower:2",
        "no_proxy": "localhost,.site",
        "NO_PROXY": "localhost,.site",
    }


def test_pip_settings_come_in_pips_order(tmp_path):
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://global/simple\ntimeout = 9\n")
    write(tmp_path / "home/.config/pip/pip.conf", "[install]\nindex-url = https://user/simple\n")
    env = {"HOME": str(tmp_path / "home")}
    assert pip_of(build_settings(discover(env, tmp_path), tmp_path))["index-url"] == ["https://user/simple"]
    env["PIP_INDEX_URL"] = "https://variable/simple"
    options = pip_of(build_settings(discover(env, tmp_path), tmp_path))
    assert options == {"index-url": ["https://variable/simple"], "timeout": ["9"]}


def test_an_own_pip_configuration_file_replaces_the_users_and_dev_null_all(tmp_path):
    write(tmp_path / "etc/pip.conf", "[global]\nindex-url = https://global/simple\n")
    write(tmp_path / "home/.pip/pip.conf", "[global]\nextra-index-url = https://user/simple\n")
    own = write(tmp_path / "own.conf", "[global]\nretries = 2\n")
    env = {"HOME": str(tmp_path / "home"), "PIP_CONFIG_FILE": str(own)}
    found = discover(env, tmp_path)
    assert dict(found.pip) == {"index-url": ("https://global/simple",), "retries": ("2",)}
    assert dict(discover({**env, "PIP_CONFIG_FILE": "/dev/null"}, tmp_path).pip) == {}


def test_what_lies_on_this_host_is_no_index_for_a_build(tmp_path):
    env = {"PIP_EXTRA_INDEX_URL": "file:///opt/simple https://site/simple", "PIP_FIND_LINKS": "/opt/wheels"}
    found = discover(env, tmp_path)
    assert pip_of(build_settings(found, tmp_path)) == {"extra-index-url": ["https://site/simple"]}
    assert found.pip["find-links"] == ("/opt/wheels",), "mlorch itself reads it here"
    assert any("extra-index-url, find-links" in note for note in found.notes)


def test_credentials_are_in_the_secret_alone(tmp_path):
    env = {
        "PIP_INDEX_URL": "https://user:hunter2@site/simple",
        "https_proxy": "http://user:hunter2@proxy:3128",
        "PIP_EXTRA_INDEX_URL": "file:///hunter2",
    }
    found = discover(env, tmp_path)
    assert "hunter2" not in repr(found)
    assert "hunter2" not in " ".join(found.notes)
    settings = build_settings(found, tmp_path)
    assert pip_of(settings)["index-url"] == ["https://user:hunter2@site/simple"]
    assert settings.secrets["pip-conf"].stat().st_mode & 0o777 == 0o600


def test_a_broken_pip_configuration_is_noted_and_skipped(tmp_path):
    write(tmp_path / "etc/pip.conf", "index-url = https://no-section/\n")
    found = discover({}, tmp_path)
    assert not found.pip
    assert "pip.conf" in found.notes[0]


def test_archives_of_the_host_become_an_apt_list_without_those_that_a_build_cannot_reach(tmp_path):
    lines = ["deb http://one/debian bookworm main", "deb file:/srv/debian bookworm main"]
    lines.append("deb http://safe/debian-security bookworm-security main")
    write(tmp_path / "etc/apt/sources.list", "\n".join(lines) + "\n")
    text = build_settings(discover({}, tmp_path), tmp_path).secrets["apt-sources"].read_text()
    stanzas = [dict(line.split(": ", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]
    assert [(each["URIs"], each["Suites"]) for each in stanzas] == [
        ("http://one/debian", "bookworm bookworm-updates"),
        ("http://safe/debian-security", "bookworm-security"),
    ]
    assert all(each["Signed-By"].startswith("/usr/share/keyrings/") for each in stanzas)


def test_an_own_apt_list_counts_instead_and_has_to_be_one(tmp_path):
    write(tmp_path / "etc/apt/sources.list", "deb http://one/debian bookworm main\n")
    own = write(tmp_path / "own.sources", "Types: deb\nURIs: https://mine/debian\nSuites: bookworm\n")
    found = discover({"MLORCH_APT_SOURCES": str(own)}, tmp_path)
    assert build_settings(found, tmp_path).secrets["apt-sources"].read_text() == own.read_text()
    for wrong in (write(tmp_path / "wrong.list", "deb http://one/debian bookworm main\n"), tmp_path / "absent"):
        with pytest.raises(EngineError) as caught:
            discover({"MLORCH_APT_SOURCES": str(wrong)}, tmp_path)
        assert caught.value.slug == "apt-sources"


def test_every_secret_has_a_place_in_the_templates():
    """The ids are a contract with dockerfiles/: one that no template mounts would do nothing."""
    from orchestrator.definitions.catalog.roots import builtin_root

    templates = "".join(path.read_text() for path in builtin_root().dockerfiles.glob("*.j2"))
    for name in ("site-ca", "pip-conf", "apt-sources"):
        assert f"type=secret,id={name}" in templates
    assert site_module.SECRET_LIMIT == 512000


@pytest.mark.parametrize(
    "address", ["https://ci:s3cret@mirror/", "https://ghp_s3cret@mirror/", "ssh://git:s3cret@mirror/"]
)
def test_a_git_mirror_with_a_secret_in_its_address_is_refused(tmp_path, address):
    """Git would have it on its command line, where every user of the machine reads it."""
    with pytest.raises(EngineError, match="has a password") as caught:
        discover({"MLORCH_GIT_MIRRORS": f"https://github.com/={address}"}, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert discover({"MLORCH_GIT_MIRRORS": "https://github.com/=ssh://git@mirror/"}, tmp_path).git_mirrors
