"""Who may ask, and what: everybody else is refused, and nothing names a path."""

import http.client
import socket
from urllib.parse import quote

import pytest

from tests.viewing.drawn_files import Drawn
from tests.viewing.served import NEEDS_PAGE, Client

pytestmark = NEEDS_PAGE

IMAGE = "/api/images/0"


def test_the_printed_address_becomes_a_cookie_that_no_script_reads(client: Client) -> None:
    answer = client.ask(f"/?token={client.address.token}", Authorization=None)

    assert answer.status == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert client.address.token in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    again = client.ask("/api/images", Authorization=None, Cookie=cookie.split(";")[0])
    assert again.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": None},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic wrong"},
        {"Authorization": None, "Cookie": "glnet-view-0=wrong"},
        {"Authorization": None, "Cookie": "=;=,{"},
        {"Authorization": None, "Cookie": "a[b]=\x80"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/images", "/page/main.js", "/?token=wrong", "/nowhere"])
def test_without_the_token_nothing_is_answered(
    path: str, headers: dict[str, str | None], client: Client
) -> None:
    answer = client.ask(path, "GET", **headers)

    assert answer.status == 401
    assert b"token" in answer.body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_ours_is_refused(host: str, client: Client) -> None:
    # DNS rebinding: a page of evil.example whose name was pointed here.
    assert client.ask("/api/images", Host=host).status == 421
    assert client.ask("/api/images", Host=None).status in {400, 421}


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "LOCALHOST", "[::1]:9"])
def test_who_comes_through_a_tunnel_has_another_port(host: str, client: Client) -> None:
    assert client.ask("/api/images", Host=host).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_asks_for_is_refused(site: str, client: Client) -> None:
    assert client.ask("/api/images", Sec_Fetch_Site=site).status == 403
    assert client.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403


def test_a_link_to_the_page_may_be_followed(client: Client) -> None:
    answer = client.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")

    assert answer.status == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", [f"{IMAGE}/reload", "/api/job/cancel", "/api/job/resume"])
def test_only_the_page_itself_may_change_anything(
    path: str, origin: str | None, client: Client
) -> None:
    assert client.ask(path, "POST", Origin=origin).status == 403


def test_a_change_needs_post(client: Client) -> None:
    assert client.ask(f"{IMAGE}/reload").status == 405
    assert client.ask("/api/images", "DELETE").status == 405
    assert client.ask("/api/images", "OPTIONS").status == 405


def test_where_nothing_runs_there_is_nothing_to_stop(client: Client) -> None:
    assert client.post("/api/job/cancel").status == 404
    assert client.post("/api/job/resume").status == 404


@pytest.mark.parametrize(
    "path", ["/", "/api/images", "/page/page.css", "/nowhere", "/?token=wrong"]
)
def test_every_answer_forbids_what_the_page_does_not_need(path: str, client: Client) -> None:
    headers = client.ask(path, Authorization=None if "wrong" in path else "Bearer x").headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"


def test_no_path_leads_to_a_file(client: Client, drawn: Drawn) -> None:
    (drawn.folder / "secret.txt").write_text("secret")
    folder = str(drawn.folder)
    ways = [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e%2fsecret.txt",
        "..%252fsecret.txt",
        "....//secret.txt",
        f"{folder}/secret.txt",
        quote(f"{folder}/secret.txt", safe=""),
        "..\\secret.txt",
        "%00",
        "main.js%00.txt",
        "own/main.js",
        "../own/main.js",
        "package.json",
        "app.py",
        "../app.py",
    ]
    for way in ways:
        for base in ("/page/", "/", "/api/images/", f"{IMAGE}/tiles/", f"{IMAGE}/tiles/0/0/0/"):
            answer = client.ask(base + way.replace("\\", "%5c"))
            assert answer.status == 404, base + way
            assert b"secret" not in answer.body


@pytest.mark.parametrize(
    "place",
    [
        *("0/0/3/0", "0/0/0/3", "0/2/1/0", "0/3/0/0", "9/0/0/0", "0/99/0/0"),
        *("-1/0/0/0", "0/-1/0/0", "0/0/-1/0", "0/0/0/-1", "0/0/0/+1"),
        *("0/0/0/99999999999999999999999", "0/999999999/0/0", f"0/0/{'9' * 5000}/0"),
        *("a/0/0/0", "0/0/0/0x1", "0/0/0/1.0", "0/0/0/", "0/0/0/1e1", "0/0/0/%20", "0/0/0/٣"),
    ],
)
def test_tiles_that_are_not_there_are_refused(place: str, client: Client) -> None:
    assert client.ask(f"{IMAGE}/tiles/{quote(place)}").status == 404


@pytest.mark.parametrize("query", ["?hide=x", "?hide=-1", "?hide=255", "?hide=1,,x", "?of=256"])
def test_labels_that_cannot_be_are_refused(query: str, client: Client) -> None:
    assert client.tile(2, 0, 0, 0, query).status == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/api/images/1", "/api/images/-1", "/api/images/99999999999999", "/api/images/x"),
        *(f"{IMAGE}/pixel/1100/0", f"{IMAGE}/pixel/0/1400", f"{IMAGE}/pixel/-1/0"),
        *("/api/images/7/state", "/api/images/7/thumbnail", "/docs", "/openapi.json"),
    ],
)
def test_images_and_pixels_that_are_not_there_are_refused(path: str, client: Client) -> None:
    assert client.ask(path).status == 404


def test_a_request_that_never_ends_is_cut_off(client: Client) -> None:
    with socket.create_connection((client.address.host, client.address.port), 10) as open_socket:
        open_socket.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
        answer = open_socket.recv(100)

    assert answer.startswith(b"HTTP/1.1 4")


def test_cookies_that_others_have_set_are_no_hindrance(client: Client) -> None:
    answer = client.ask(f"/?token={client.address.token}", Authorization=None)
    ours = answer.headers["set-cookie"].split(";")[0]

    again = client.ask(
        "/api/images", Authorization=None, Cookie=f'prefs={{"a": 1, "b": [2]}}; {ours}; x@y=z'
    )

    assert again.status == 200


def test_what_is_no_http_is_refused(client: Client) -> None:
    with socket.create_connection((client.address.host, client.address.port), 10) as open_socket:
        open_socket.sendall(b"\x16\x03\x01 no http \r\n\r\n")
        answer = open_socket.recv(100)

    assert answer.startswith(b"HTTP/1.1 400")


def test_a_websocket_is_refused(client: Client) -> None:
    answer = client.ask(
        "/",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Sec_WebSocket_Version="13",
        Authorization=None,
    )

    assert answer.status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}
