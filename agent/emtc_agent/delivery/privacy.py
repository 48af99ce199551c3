"""Addresses told as keyed hashes: the same device stays recognisable, nobody without the key learns its address."""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from emtc_contract.messages import Alert, Endpoint, Peer

_DIGITS = 16


class AddressHider:
    """Replaces addresses.

    Args:
        key: At least 16 secret bytes; another key gives other hashes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hide(self, alert: Alert) -> Alert:
        """The alert without addresses, also in its sentence."""
        endpoint, text = alert.endpoint, alert.text
        addresses = {endpoint.id, endpoint.ip, endpoint.mac, endpoint.teid, *(peer.ip for peer in alert.peers)} - {
            None
        }
        # The longest first: 10.0.0.1 is a part of 10.0.0.12.
        for address in sorted((one for one in addresses if one), key=len, reverse=True):
            text = text.replace(address, self.hidden(address))
        hidden = Endpoint(
            id=self.hidden(endpoint.id),
            kind=endpoint.kind,
            ip=endpoint.ip and self.hidden(endpoint.ip),
            mac=endpoint.mac and self.hidden(endpoint.mac),
            teid=endpoint.teid and self.hidden(endpoint.teid),
        )
        peers = tuple(Peer(ip=self.hidden(peer.ip), windows=peer.windows) for peer in alert.peers)
        return msgspec.structs.replace(alert, endpoint=hidden, peers=peers, text=text, flow=None)

    def hidden(self, address: str) -> str:
        """What is told instead."""
        return "h" + hmac.new(self._key, address.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
