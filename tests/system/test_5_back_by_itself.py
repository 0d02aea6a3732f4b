"""After every power cut the box finds its network again and goes on where it was, up to a tunnel and an owner."""

from __future__ import annotations

import uuid

import owner
import pytest
from conftest import WirelessBox
from handset import FLAG_CLAIMED, HOME, PERSON, UNLOCK_LIMIT_S, Handset

from harness import disks
from harness.phone import REGISTRATION, SERVER_URL, WIFI_STATUS
from harness.setup_client import Failed, Json
from harness.setup_protocol.handshake import Refused

RETURN_LIMIT_S = 240.0
FILE = "through-the-tunnel.txt"


def at_home(status: Json) -> bool:
    return (status["state"], status["ssid"]) == ("connected", HOME.ssid)


def test_box_returns_to_its_house_and_still_takes_the_code(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.switch_on()
    welcome = handset.begin_by_code()
    assert (welcome["claimed"], welcome["country"]) == (False, "DE")
    handset.app.wait_for(WIFI_STATUS, at_home, RETURN_LIMIT_S)


def test_registration_goes_on_by_itself_and_makes_one_tunnel(wireless_box: WirelessBox, handset: Handset) -> None:
    registered = handset.app.wait_for(REGISTRATION, lambda it: it["state"] == "registered", RETURN_LIMIT_S)
    assert registered["error"] is None
    [(tunnel_id, tunnel)] = wireless_box.cloud.tunnels().items()
    [record] = wireless_box.cloud.records()
    where = handset.app.value(SERVER_URL)
    assert where["server_url"] == f"https://{record['name']}"
    assert record["content"] == f"{tunnel_id}.cfargotunnel.com"

    wireless_box.edge.host = record["name"]
    wireless_box.edge.service = tunnel["configuration"]["config"]["ingress"][0]["service"]


def test_tunnel_client_reads_the_real_token(wireless_box: WirelessBox, handset: Handset) -> None:
    handset.app.wait_for(SERVER_URL, lambda it: it["tunnel"] == "connected", RETURN_LIMIT_S)
    [tunnel_id] = wireless_box.cloud.tunnels()
    assert {token["t"] for token in wireless_box.edge.tokens} == {tunnel_id}


def test_box_without_an_owner_is_reached_through_the_tunnel(wireless_box: WirelessBox) -> None:
    assert wireless_box.api.health()["vault"] == "absent"


def test_power_is_cut_as_the_claim_arrives(wireless_box: WirelessBox, handset: Handset) -> None:
    handset.ask_to_claim()
    wireless_box.cut_power_at_once()
    wireless_box.switch_on()
    assert wireless_box.phone.info()[3] & FLAG_CLAIMED == 0
    assert handset.begin_by_code()["claimed"] is False


def test_power_is_cut_as_the_keys_are_written(wireless_box: WirelessBox, handset: Handset) -> None:
    """Before or after the one moment in which the box gets its owner: this phone can go on either way."""
    handset.ask_to_claim()
    wireless_box.machine.agent.wait_for("[ -e /data/coffer/secrets/vault.keys ]", limit_s=UNLOCK_LIMIT_S)
    wireless_box.cut_power_at_once()
    wireless_box.switch_on()
    wireless_box.sh("coffer-ble window")
    if not wireless_box.phone.info()[3] & FLAG_CLAIMED:
        handset.begin_by_code()
        answer = handset.claim()
        assert answer["recovery_key"] and answer["vault_id"] and answer["user_id"]
        handset.app.leave()
    welcome = handset.begin_by_key()
    expected = {"access": "owner", "claimed": True, "enrolled": True}
    assert {key: welcome[key] for key in expected} == expected


def test_tunnel_comes_back_by_itself(wireless_box: WirelessBox, handset: Handset) -> None:
    handset.app.wait_for(WIFI_STATUS, at_home, RETURN_LIMIT_S)
    handset.app.wait_for(SERVER_URL, lambda it: it["tunnel"] == "connected", RETURN_LIMIT_S)
    assert len(wireless_box.cloud.tunnels()) == 1


def test_setup_code_is_used_up(wireless_box: WirelessBox, handset: Handset) -> None:
    wireless_box.machine.agent.wait_for("! findmnt /boot/firmware")
    assert "SETUP-CODE.txt" not in disks.boot_partition_files(wireless_box.parts.sd_card)
    handset.app.leave()
    app = handset.connect()
    with pytest.raises(Refused) as refused:
        app.begin_by_code(handset.enrolment, handset.code)
    assert refused.value.code == "already_claimed"
    app.leave()


def test_vault_is_unlocked_over_bluetooth(wireless_box: WirelessBox, handset: Handset) -> None:
    # Into a state that does not depend on where the power was cut.
    wireless_box.sh("systemctl restart cofferd")
    handset.begin_by_key()
    handset.app.welcome_when(lambda welcome: welcome["vault"] == "locked")
    with pytest.raises(Failed) as failed:
        handset.unlock("not-the-master-password")
    assert failed.value.code == "wrong_master_password"
    assert handset.unlock(owner.MASTER_PASSWORD) == {}
    handset.app.welcome_when(lambda welcome: welcome["vault"] == "unlocked")


def test_claimed_box_cannot_be_claimed_again(handset: Handset) -> None:
    with pytest.raises(Failed) as failed:
        handset.claim()
    assert failed.value.code in ("conflict", "not_allowed")


def test_this_phone_is_the_only_one(handset: Handset) -> None:
    [phone] = handset.app.control("phones")["phones"]
    assert (phone["name"], phone["this"]) == ("Margit's phone", True)
    handset.app.leave()


def test_device_token_opens_the_files_through_the_tunnel(wireless_box: WirelessBox, handset: Handset) -> None:
    api = wireless_box.api
    [record] = wireless_box.cloud.records()
    registered_id = str(uuid.UUID(record["name"].split(".")[0]))
    handset.device_token = wireless_box.cloud.device_token(PERSON, registered_id)

    api.use_token(handset.device_token)
    assert api.call("GET", "/api/v1/files").status == 401, "no account is linked yet"
    api.log_in(**owner.ADMIN)
    linked = api.call("PUT", "/api/v1/users/me/device-link", {"device_token": handset.device_token})
    assert linked.status == 200, linked
    api.use_token(handset.device_token)
    stored = api.upload(FILE, owner.MARKER)
    assert stored.status == 201, stored
    assert api.download(stored.body["id"]) == owner.MARKER
    header, payload, signature = handset.device_token.split(".")
    api.use_token(f"{header}.{payload}.{signature[::-1]}")
    assert api.call("GET", "/api/v1/files").status == 401
    api.use_token(handset.device_token)
