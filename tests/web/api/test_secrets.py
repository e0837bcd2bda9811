"""No secret ever comes into the record, whatever somebody did with it."""

from tests.server import Server


def test_no_secret_that_the_server_has_seen_or_made_is_on_record(server: Server) -> None:
    made: list[str] = [server.token]
    with server.client() as client:
        token = client.post("/api/v1/tokens", json={"name": "mine", "life": "P1D"})
        assert token.status_code == 201, token.text
        made.append(token.json()["secret"])
        client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {made[1]}"})
        client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {made[1][:-4]}AAAA"})
        client.delete(f"/api/v1/tokens/{token.json()['id']}")
        client.get("/api/v1/whoami", headers={"Authorization": f"Bearer {made[1]}"})
        client.get("/api/v1/activity", params={"limit": 1, "token": made[0]})
        client.post("/api/v1/requests", json={"token": made[0]})
        record = client.get("/api/v1/activity/export").text
    assert "Jitgate.Access/signIn/refused" in record
    assert "Jitgate.Access/credentials/write" in record
    for secret in made:
        assert secret not in record
        assert secret.split("_", 2)[2] not in record
