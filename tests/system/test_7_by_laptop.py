"""A fresh box is set up by `coffer` from a laptop, comes back by itself, and is moved by `coffer box`."""

from __future__ import annotations

import uuid

import owner
from conftest import WirelessBox
from handset import HOME, NEXT, PERSON, WRONG_PASSWORD
from laptop import Laptop
from test_5_back_by_itself import FILE, RETURN_LIMIT_S

from harness import disks, leaks
from harness.setup_client import Json

PHONE_NAME = "workshop"
secrets = {"Wi-Fi password": HOME.password, "master password": owner.MASTER_PASSWORD, **owner.ADMIN}


def failures(events: list[Json]) -> list[str]:
    return [each["failure"]["code"] for each in events]


def test_box_is_set_up_with_one_command(laptop_box: WirelessBox, laptop: Laptop) -> None:
    laptop.switch_on()
    laptop_box.machine.agent.wait_for("! findmnt /boot/firmware")
    code = disks.read_boot_partition_file(laptop_box.parts.sd_card, "SETUP-CODE.txt").splitlines()[0]
    secrets["setup code"], secrets["claim ticket"] = code, laptop_box.cloud.ticket(PERSON)
    told = laptop.coffer(
        "setup",
        "--code-file", laptop.write("code", code),
        "--country", "DE",
        "--wifi", HOME.name,
        "--wifi-password-file", laptop.write("wifi", WRONG_PASSWORD, HOME.password),
        "--registrar", laptop_box.cloud.url,
        "--ticket-file", laptop.write("ticket", secrets["claim ticket"]),
        "--master-password-file", laptop.write("master", owner.MASTER_PASSWORD),
        "--username", owner.ADMIN["username"],
        "--account-password-file", laptop.write("account", owner.ADMIN["password"]),
        "--phone-name", PHONE_NAME,
        "--recovery-key-file", laptop.path("recovery-key"),
    )  # fmt: skip
    assert told.status == 0, told
    # What is mistyped is told, and the next line is tried.
    assert failures(told.of("failed")) == ["wrong_password"], told
    assert len(told.of("claimed")) == 1
    assert [each["registration"]["state"] for each in told.of("registration")][-1] == "registered"
    [record] = laptop_box.cloud.records()
    assert told.of("done")[0]["url"] == f"https://{record['name']}"
    secrets["recovery key"] = laptop.read("recovery-key").strip()
    assert laptop.mode("recovery-key") == "600"
    assert not [name for name, secret in secrets.items() if secret in told.errors or secret in str(told.events)]


def test_files_are_reached_through_the_tunnel_by_a_device_token(laptop_box: WirelessBox) -> None:
    api = laptop_box.api
    [record], [tunnel] = laptop_box.cloud.records(), laptop_box.cloud.tunnels().values()
    laptop_box.edge.host = record["name"]
    laptop_box.edge.service = tunnel["configuration"]["config"]["ingress"][0]["service"]
    device_token = laptop_box.cloud.device_token(PERSON, str(uuid.UUID(record["name"].split(".")[0])))
    api.log_in(**owner.ADMIN)
    assert api.call("PUT", "/api/v1/users/me/device-link", {"device_token": device_token}).status == 200
    api.use_token(device_token)
    assert api.upload(FILE, owner.MARKER).status == 201


def test_box_comes_back_by_itself(laptop_box: WirelessBox, laptop: Laptop) -> None:
    laptop.keep_files()
    laptop_box.cut_power()
    laptop_box.switch_on()
    laptop.switch_on()
    laptop_box.api.wait_until_up(RETURN_LIMIT_S)
    assert laptop_box.api.health()["vault"] == "locked"


def test_laptop_is_known_without_a_code(laptop_box: WirelessBox, laptop: Laptop) -> None:
    # The box is online and silent, until its button is pressed.
    laptop_box.sh("coffer-ble window")
    wrong_first = laptop.write("master", "not-the-master-password", owner.MASTER_PASSWORD)
    told = laptop.coffer("box", "unlock", "--master-password-file", wrong_first)
    assert (told.status, failures(told.of("failed"))) == (0, ["wrong_master_password"]), told
    assert laptop_box.api.health()["vault"] == "unlocked"
    told = laptop.coffer("box", "phones")
    assert (told.status, PHONE_NAME in str(told.events)) == (0, True), told


def test_laptop_brings_the_box_into_another_house(laptop_box: WirelessBox, laptop: Laptop) -> None:
    for house in sorted(laptop_box.houses):
        laptop_box.sh(f"systemctl stop coffer-test-house@{house}")
    laptop_box.houses = {"next"}
    laptop_box.sh("systemctl start coffer-test-house@next")
    told = laptop.coffer("box", "wifi", "--wifi", NEXT.name, "--wifi-password-file", laptop.write("wifi", NEXT.password))
    assert told.status == 0, told
    laptop_box.api.wait_until_up(RETURN_LIMIT_S)
    listing = laptop_box.api.call("GET", "/api/v1/files")
    assert {item["name"] for item in listing.body["items"]} == {FILE}
    assert len(laptop_box.cloud.tunnels()) == 1


def test_nobody_in_the_air_has_heard_a_secret_of_the_laptops(laptop_box: WirelessBox) -> None:
    heard = {
        f"start {number}, {place}": content
        for number, sniffer in enumerate(laptop_box.sniffers, start=1)
        for place, content in sniffer.heard().items()
    }
    assert sum(map(len, heard.values())) > 10_000
    del secrets["username"]
    assert not leaks.found(heard, secrets)
