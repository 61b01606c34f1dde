"""Another OPC UA stack (asyncua, PyPI) against the example's server: what it reads, or why it is refused.

oracle.py URL SERVER.der CERTIFICATE.der KEY.pem URI USER.der USER.pem POLICY
POLICY is a class of asyncua.crypto.security_policies, or `None`. USER may be `anonymous`.
"""

import asyncio
import logging
import sys

from asyncua import Client, ua
from asyncua.crypto import security_policies


async def main(url, server, certificate, key, uri, user, user_key, policy):
    client = Client(url, timeout=30)
    client.application_uri = uri
    if policy != "None":
        await client.set_security(
            getattr(security_policies, policy), certificate, key, server_certificate=server,
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )
    if user != "anonymous":
        await client.load_client_certificate(user)
        await client.load_private_key(user_key)
    try:
        async with client:
            print(await client.get_node("ns=1;s=pressure").read_value())
    except Exception as problem:  # whatever it is, it is the answer
        print(f"refused: {type(problem).__name__} {problem}")


logging.disable(logging.CRITICAL)
asyncio.run(main(*sys.argv[1:]))
