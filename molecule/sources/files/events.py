"""Write the documents of the collection `events.seen`, as mongorestore reads them: BSON, one after the other."""

import sys

import bson

for number in range(500):
    document = {
        "_id": number,
        "text": f"event {number}, grün \U0001f680",
        "bytes": bytes([0, 255, 10, 13]) * (number % 9),
        "parts": [number, None, {"deep": [1.5, True]}],
    }
    sys.stdout.buffer.write(bson.encode(document))
