"""Defaults < zmart.toml < environment; unknown names and impossible values stop the start; secrets stay hidden."""

import copy
import json
import pickle
import tomllib
from contextlib import suppress
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from zmart_lite import resources
from zmart_lite.config import Chain, Config, Secret, Server, as_dict, cautions, load, read_keypair, rows, to_toml
from zmart_lite.config.environment import ALIASES
from zmart_lite.errors import ConfigError

SEED = bytes(range(32))
PAIR = Keypair.from_seed(SEED)
LONG_SECRET = "0123456789abcdef0123456789abcdef"


def write(folder: Path, text: str) -> Path:
    path = folder / "zmart.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(environ: dict[str, str], path: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value.message


def value(config: Config, name: str) -> object:
    section, key = name.split(".")
    return getattr(getattr(config, section), key)


class TestDefaults:
    def test_nothing_given(self) -> None:
        assert load(None, {}) == Config()

    def test_the_file_in_the_repository_holds_exactly_the_defaults(self) -> None:
        assert resources.read_text("zmart.toml") == to_toml(Config())
        assert load(resources.find("zmart.toml"), {}) == Config()

    def test_every_setting_stands_in_the_file_with_its_help(self) -> None:
        text = resources.read_text("zmart.toml")
        parsed = tomllib.loads(text)
        assert {f"{section}.{key}" for section, table in parsed.items() for key in table} == set(rows())
        assert [row.name for row in rows().values() if f"# {row.help}" not in text or not row.help.endswith(".")] == []

    def test_a_default_obeys_its_own_rules(self, tmp_path: Path) -> None:
        for row in rows().values():
            assert row.kind is not int or (row.low is not None and row.high is not None), f"{row.name} has no range"
            assert row.kind is not int or row.low <= row.default <= row.high
            assert not row.choices or row.default in row.choices

    def test_it_is_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Config().server.port = 1  # type: ignore[misc]

    def test_the_contract(self) -> None:
        config = Config()
        assert (config.server.host, config.server.port, config.server.ws_port) == ("127.0.0.1", 4000, 4001)
        limits = config.limits
        assert (limits.address_per_minute, limits.wallet_per_minute, limits.service_per_minute) == (100, 1000, 10_000)
        assert (config.localnet.port, config.localnet.slot_ms, config.votes.proposal_min_votes) == (8899, 400, 10)
        assert (config.votes.interval_s, config.monitor.interval_s, config.reconcile.interval_s) == (300, 60, 600)
        assert config.embedded_devnet


class TestSources:
    def test_environment_over_file_over_default(self, tmp_path: Path) -> None:
        path = write(tmp_path, '[server]\nport = 5000\nws_port = 5001\n[log]\nlevel = "debug"\n')
        config = load(path, {"ZMART_SERVER_PORT": "6000"})
        assert config.server == Server(port=6000, ws_port=5001)
        assert config.log.level == "DEBUG"

    def test_own_name_over_alias_and_first_alias_over_second(self) -> None:
        assert load(None, {"PORT": "5000"}).server.port == 5000
        assert load(None, {"PORT": "5000", "API_PORT": "5001", "WS_PORT": "0"}).server.port == 5001
        environ = {"PORT": "5000", "API_PORT": "5001", "ZMART_SERVER_PORT": "5002", "WS_PORT": "0"}
        assert load(None, environ).server.port == 5002

    def test_an_empty_variable_is_not_set(self) -> None:
        assert load(None, {"ZMART_SERVER_PORT": "", "API_PORT": "", "PORT": "5000"}).server.port == 5000

    def test_lists(self, tmp_path: Path) -> None:
        path = write(tmp_path, '[server]\ncors_origins = ["https://a.example"]\n')
        assert load(path, {}).server.cors_origins == ("https://a.example",)
        environ = {"CORS_ORIGIN": "https://a.example, http://localhost:3000,"}
        assert load(None, environ).server.cors_origins == ("https://a.example", "http://localhost:3000")

    def test_foreign_names_are_ignored(self) -> None:
        environ = {"HOME": "/root", "NODE_ENV": "production", "APP_ENV": "test", "zmart_server_port": "1"}
        assert load(None, environ) == Config()

    @pytest.mark.parametrize(
        ("environ", "name", "expected"),
        [
            ({"API_HOST": "0.0.0.0"}, "server.host", "0.0.0.0"),
            ({"LOG_LEVEL": "warn"}, "log.level", "WARNING"),
            ({"LOG_LEVEL": "verbose"}, "log.level", "DEBUG"),
            ({"LOG_DIR": "/var/log/zmart"}, "log.dir", "/var/log/zmart"),
            ({"SOLANA_NETWORK": "mainnet-beta"}, "chain.cluster", "mainnet"),
            ({"SOLANA_NETWORK": "devnet"}, "chain.cluster", "devnet"),
            ({"ZMART_PROGRAM_ID": str(PAIR.pubkey())}, "chain.program_id", str(PAIR.pubkey())),
            ({"HELIUS_WEBHOOK_URL": "https://api.helius.xyz/v0/webhooks"}, "helius.webhook_url", ""),
            ({"HELIUS_WEBHOOK_URL": "https://a.example/hook"}, "helius.webhook_url", "https://a.example/hook"),
            ({"RETRY_DELAY": "1000"}, "indexer.retry_delay_s", 1),
            ({"RETRY_DELAY": "1001"}, "indexer.retry_delay_s", 2),
            ({"RECONCILIATION_INTERVAL": "3600000"}, "reconcile.interval_s", 3600),
            ({"VOTE_AGGREGATION_INTERVAL": "300000"}, "votes.interval_s", 300),
            ({"MARKET_MONITOR_INTERVAL": "60000"}, "monitor.interval_s", 60),
            ({"FINALIZATION_DELAY_HOURS": "48"}, "monitor.dispute_period_fallback_s", 172_800),
            ({"FINALIZATION_DELAY_HOURS": "0.5"}, "monitor.dispute_period_fallback_s", 1800),
            ({"AUTH_SIGNATURE_VALIDITY_MS": "600000"}, "auth.signature_age_max_s", 600),
            ({"PROPOSAL_APPROVAL_THRESHOLD": "0.7"}, "votes.proposal_threshold_bps", 7000),
            ({"PROPOSAL_THRESHOLD": "70"}, "votes.proposal_threshold_bps", 7000),
            ({"PROPOSAL_THRESHOLD": "66.67%"}, "votes.proposal_threshold_bps", 6667),
            ({"DISPUTE_THRESHOLD": "1"}, "votes.dispute_threshold_bps", 10_000),
            ({"RATE_LIMIT_MAX_REQUESTS": "100"}, "limits.address_per_minute", 100),
            (
                {"RATE_LIMIT_MAX_REQUESTS": "900", "RATE_LIMIT_WINDOW_MS": "900000"},
                "limits.address_per_minute",
                60,
            ),
            ({"AUTO_FINALIZATION_ENABLED": "false"}, "monitor.enabled", False),
            ({"IPFS_GATEWAY": "gateway.example"}, "ipfs.gateway_url", "https://gateway.example"),
            ({"ADMIN_WALLET_PUBKEY": str(PAIR.pubkey())}, "auth.admin_wallets", (str(PAIR.pubkey()),)),
            ({"DATABASE_URL": "postgresql://a:b@c/d"}, "store.dsn", Secret("postgresql://a:b@c/d")),
        ],
    )
    def test_aliases_and_their_units(self, environ: dict[str, str], name: str, expected: object) -> None:
        assert value(load(None, environ), name) == expected

    def test_slack_joins_the_other_addresses(self) -> None:
        slack = "https://hooks.slack.com/services/T0/B0/xyz"
        environ = {"ZMART_ALERTS_URLS": "mailto://a@b.example", "SLACK_WEBHOOK_URL": slack}
        assert [url.reveal() for url in load(None, environ).alerts.urls] == ["mailto://a@b.example", slack]

    def test_every_alias_names_a_setting_and_clashes_with_none(self) -> None:
        names = [alias.variable for alias in ALIASES] + [row.variable for row in rows().values()]
        assert len(names) == len(set(names))
        assert {alias.setting for alias in ALIASES} <= set(rows())


class TestRefusals:
    def test_all_problems_at_once_with_a_suggestion(self, tmp_path: Path) -> None:
        path = write(tmp_path, '[server]\nprot = 1\nhost = 7\n[sever]\nport = 1\n[votes]\ninterval_s = "fast"\n')
        message = refusal({"ZMART_SERVER_PRT": "1", "PORT": "70000"}, path)
        assert "6 problems" in message
        assert f"{path}: unknown setting server.prot, did you mean server.port?" in message
        assert f"{path}: server.host must be a text in quotes" in message
        assert f"{path}: unknown section [sever], did you mean server?" in message
        assert f"{path}: votes.interval_s must be a whole number" in message
        assert "ZMART_SERVER_PRT: unknown variable, did you mean ZMART_SERVER_PORT?" in message
        assert "PORT: server.port must be between 0 and 65535, not 70000" in message

    def test_one_problem_is_one_line(self) -> None:
        assert "\n" not in refusal({"ZMART_SERVER_PORT": "x"})

    @pytest.mark.parametrize("name", ["SKIP_AUTH_VALIDATION", "SKIP_RATE_LIMITING", "WEBHOOK_DEV_MODE"])
    def test_switches_that_turn_off_authentication(self, name: str) -> None:
        assert refusal({name: "true"}).startswith(f"{name} is set")
        for off in ("", "0", "false", "False"):
            assert load(None, {name: off}) == Config()

    @pytest.mark.parametrize(
        ("environ", "part"),
        [
            ({"ZMART_SERVER_PORT": "4001"}, "port 4001 is used twice"),
            ({"ZMART_SERVER_PORT": "8900"}, "port 8900 is used twice"),
            ({"SOLANA_RPC_URL": "https://api.devnet.solana.com"}, "set chain.cluster"),
            ({"ZMART_CHAIN_CLUSTER": "betanet"}, "must be one of localnet, devnet, testnet, mainnet"),
            ({"ZMART_CHAIN_PROGRAM_ID": "abc"}, "must be a Solana address"),
            ({"ZMART_AUTH_ADMIN_WALLETS": "abc"}, "must be a Solana address"),
            ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL: store.dsn must be postgresql://"),
            ({"AUTH_SIGNATURE_VALIDITY_MS": "3600001"}, "between 1 and 3600"),
            ({"AUTH_TIMESTAMP_WINDOW_MS": "300001"}, "between 1 and 300"),
            ({"PROPOSAL_THRESHOLD": "7000"}, "a fraction like 0.7"),
            ({"PROPOSAL_THRESHOLD": "0.33333"}, "a fraction like 0.7"),
            ({"RETRY_DELAY": "soon"}, "RETRY_DELAY: must be a number"),
            ({"RATE_LIMIT_MAX_REQUESTS": "5", "RATE_LIMIT_WINDOW_MS": "0"}, "RATE_LIMIT_WINDOW_MS above 0"),
            ({"ZMART_MONITOR_DRY_RUN": "maybe"}, "must be true or false"),
            ({"ZMART_SERVER_TRUSTED_PROXIES": "10.0.0.0/99"}, "an address or a network"),
            ({"CORS_ORIGINS": "https://a.example/path"}, "an origin"),
            ({"ZMART_SERVER_PUBLIC_URL": "ftp://a"}, "http:// or https://"),
            ({"PINATA_API_KEY": "x"}, "only of use together"),
            ({"ZMART_SERVER_HOST": "a\nb"}, "must be one line"),
        ],
    )
    def test_what_cannot_work(self, environ: dict[str, str], part: str) -> None:
        assert part in refusal(environ)

    def test_an_empty_text_where_one_is_needed(self, tmp_path: Path) -> None:
        assert refusal({}, write(tmp_path, '[auth]\nissuer = ""\n')) == "auth.issuer must not be empty"

    @pytest.mark.parametrize("text", ["server = 1", "[server]\nport = 4000.0", "[server]\nport = true"])
    def test_wrong_kinds(self, tmp_path: Path, text: str) -> None:
        assert "must be" in refusal({}, write(tmp_path, text))

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        assert "No such file" in refusal({}, tmp_path / "absent.toml")
        assert "cannot read" in refusal({}, tmp_path)
        assert "is not valid TOML" in refusal({}, write(tmp_path, "[server\n"))
        path = tmp_path / "binary.toml"
        path.write_bytes(b"\xff\xfe")
        assert "is not valid TOML" in refusal({}, path)
        path.write_bytes(b"#" * 1_048_577)
        assert "larger than" in refusal({}, path)

    def test_the_list_of_problems_is_bounded(self) -> None:
        message = refusal({f"ZMART_X{number}": "1" for number in range(200)})
        assert message.endswith("and 150 more")
        assert len(message.splitlines()) == 52

    @given(
        st.dictionaries(st.sampled_from([row.variable for row in rows().values()]), st.text(max_size=40), max_size=5)
    )
    def test_any_text_is_taken_or_refused_with_a_config_error(self, environ: dict[str, str]) -> None:
        with suppress(ConfigError):
            assert tomllib.loads(to_toml(load(None, environ)))


class TestSecrets:
    SECRETS: ClassVar = {
        "JWT_SECRET": LONG_SECRET,
        "HELIUS_API_KEY": "0a1b2c3d4e5f",
        "DATABASE_URL": "postgresql://u:p4ssw0rd@h/d",
    }

    def test_it_shows_itself_only_when_asked(self) -> None:
        secret = Secret("hidden")
        assert secret.reveal() == "hidden"
        assert str(secret) == f"{secret}" == "***"
        assert "hidden" not in repr(secret)
        assert (str(Secret()), bool(Secret()), bool(secret)) == ("", False, True)
        assert secret == Secret("hidden") != Secret("other")
        assert secret != "hidden"
        assert len({secret, Secret("hidden")}) == 1

    def test_it_is_not_written_anywhere(self) -> None:
        with pytest.raises(TypeError, match="not written"):
            pickle.dumps(Secret("hidden"))
        with pytest.raises(TypeError):
            json.dumps(Secret("hidden"))
        secret = Secret("hidden")
        assert copy.deepcopy(secret) is secret

    def test_no_form_of_the_configuration_shows_one(self) -> None:
        config = load(None, self.SECRETS)
        for text in (repr(config), str(as_dict(config)), to_toml(config)):
            assert not [secret for secret in (LONG_SECRET, "0a1b2c3d4e5f", "p4ssw0rd") if secret in text]
        assert config.auth.jwt_secret.reveal() == LONG_SECRET

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("JWT_SECRET", "tooshort"),
            ("DATABASE_URL", "mysql://u:tooshort@h/d"),
            ("BACKEND_AUTHORITY_KEYPAIR", "tooshort"),
        ],
    )
    def test_no_message_shows_one(self, name: str, text: str) -> None:
        assert "tooshort" not in refusal({name: text})


class TestKeypairs:
    @pytest.mark.parametrize("text", [str(PAIR), json.dumps(list(bytes(PAIR)))])
    def test_base58_and_byte_array(self, text: str) -> None:
        config = load(None, {"BACKEND_AUTHORITY_PRIVATE_KEY": text})
        assert read_keypair(config.chain.backend_keypair, "chain.backend_keypair") == PAIR

    def test_a_solana_cli_file(self, tmp_path: Path) -> None:
        path = tmp_path / "id.json"
        path.write_text(json.dumps(list(bytes(PAIR))))
        path.chmod(0o600)
        config = load(None, {"BACKEND_KEYPAIR_PATH": str(path)})
        assert read_keypair(config.chain.backend_keypair, "chain.backend_keypair") == PAIR
        assert cautions(config) == ()

    def test_a_file_that_others_may_read(self, tmp_path: Path) -> None:
        path = tmp_path / "id.json"
        path.write_text(json.dumps(list(bytes(PAIR))))
        path.chmod(0o644)
        assert cautions(load(None, {"ZMART_CHAIN_ADMIN_KEYPAIR": str(path)})) == (
            f"chain.admin_keypair: {path} can be read by other users; run: chmod 600 {path}",
        )

    def test_a_file_that_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "absent.json"
        message = refusal({"BACKEND_KEYPAIR_PATH": str(path)})
        assert message.startswith(
            f"chain.backend_keypair: cannot read the keypair file {path} (No such file or directory)"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "[]",
            "[1, 2]",
            "[300]",
            '["a"]',
            "{}",
            "nonsense",
            "[" * 5000,
            str(list(SEED + SEED)),
            json.dumps([1.5] * 64),
        ],
    )
    def test_files_that_hold_no_key(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "id.json"
        path.write_text(text)
        assert "not a Solana key" in refusal({"BACKEND_KEYPAIR_PATH": str(path)})

    @pytest.mark.parametrize("text", ["1" * 88, "z" * 88, str(PAIR)[:-1] + "1", "[1,2,3]"])
    def test_texts_that_are_no_key(self, text: str) -> None:
        message = refusal({"ZMART_CHAIN_BACKEND_KEYPAIR": text})
        assert message.startswith("chain.backend_keypair: not a Solana key")
        assert text not in message


class TestDerived:
    def test_the_rpc_address_follows_the_cluster(self) -> None:
        assert Config().rpc_url.reveal() == "http://127.0.0.1:8899"
        assert load(None, {"ZMART_LOCALNET_PORT": "9899"}).rpc_url.reveal() == "http://127.0.0.1:9899"
        assert load(None, {"SOLANA_NETWORK": "devnet"}).rpc_url.reveal() == "https://api.devnet.solana.com"
        own = {"SOLANA_NETWORK": "devnet", "SOLANA_RPC_URL": "https://rpc.example/?api-key=1"}
        assert load(None, own).rpc_url.reveal() == "https://rpc.example/?api-key=1"

    def test_further_rpc_addresses(self) -> None:
        urls = {"ZMART_CHAIN_RPC_URLS": "https://two.example/?key=a, https://three.example/b"}
        config = load(None, {"SOLANA_NETWORK": "devnet", "SOLANA_RPC_URL": "https://one.example/k"} | urls)
        assert config.rpc_addresses == [
            "https://one.example/k",
            "https://two.example/?key=a",
            "https://three.example/b",
        ]
        assert "key=a" not in repr(config)
        assert "rpc_urls" in refusal(urls)
        same = {"ZMART_CHAIN_RPC_URLS": "https://api.devnet.solana.com", "SOLANA_NETWORK": "devnet"}
        assert "twice" in refusal(same)
        for number, fits in ((9, True), (10, False)):
            many = ",".join(f"https://{each}.example" for each in range(number))
            environ = {"SOLANA_NETWORK": "devnet", "ZMART_CHAIN_RPC_URLS": many}
            if fits:
                assert len(load(None, environ).rpc_addresses) == 10
            else:
                assert "more than 10" in refusal(environ)

    def test_another_local_validator(self) -> None:
        config = load(None, {"ZMART_LOCALNET_ENABLED": "false", "SOLANA_RPC_URL": "http://127.0.0.1:18899"})
        assert not config.embedded_devnet
        assert config.rpc_url.reveal() == "http://127.0.0.1:18899"
        assert not replace(Config(), chain=Chain(cluster="devnet")).embedded_devnet

    def test_the_database(self) -> None:
        assert Config().store.sqlite_path == Path("data/zmart.db")
        assert load(None, {"DATABASE_URL": "sqlite:////srv/z.db"}).store.sqlite_path == Path("/srv/z.db")
        assert load(None, {"DATABASE_URL": "sqlite:///z.db"}).store.sqlite_path == Path("z.db")
        assert load(None, {"DATABASE_URL": "postgres://h/d"}).store.is_postgres
        assert not Config().store.is_postgres

    def test_what_makes_something_impossible_is_worth_a_word(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(tmp_path)
        assert cautions(Config()) == ()

        def said(**environ: str) -> str:
            return "\n".join(cautions(load(None, environ)))

        real = said(SOLANA_NETWORK="mainnet-beta")
        for part in ("helius.webhook_secret is not set", "no market is settled", "auth.admin_wallets is empty"):
            assert part in real
        for environ in (
            {"API_HOST": "0.0.0.0"},
            {"API_HOST": "192.0.2.7"},
            {"ZMART_SERVER_TRUSTED_PROXIES": "127.0.0.1"},
        ):
            assert "server.public_url is not set: sign-in messages name localhost" in said(**environ)
            assert said(**environ, ZMART_SERVER_PUBLIC_URL="https://node.example") == ""
        for host in ("127.0.0.2", "::1", "localhost"):
            assert said(API_HOST=host) == ""
        assert said(HELIUS_WEBHOOK_SECRET="'a secret in quotes'").startswith("helius.webhook_secret begins and ends")
        (tmp_path / "data").mkdir(mode=0o755)
        (tmp_path / "data").chmod(0o755)
        assert cautions(Config()) == ("store.dir: data can be read by other users; run: chmod -R go= data",)
