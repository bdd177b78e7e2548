"""Ask a node for something through a message broker, and wait for the reply.

python amqp_request.py amqp://USER:PASSWORD@HOST QUEUE TYPE '{"region": "eu"}'
"""

import sys
import uuid

import pika

WAIT_SECONDS = 60

url, queue, task_type, parameters = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
# It is gone with this connection. Whoever wants the reply after a crash of his own declares a durable one with a name.
replies = channel.queue_declare("", exclusive=True).method.queue

request = pika.BasicProperties(
    type=task_type,
    content_type="application/json",
    # Sent again with the same id, it is answered again, and nothing runs twice.
    message_id=str(uuid.uuid4()),
    reply_to=replies,
    delivery_mode=2,
)
channel.basic_publish("", queue, parameters.encode(), request, mandatory=True)

_, properties, body = next(channel.consume(replies, auto_ack=True, inactivity_timeout=WAIT_SECONDS))
connection.close()
if properties is None:
    sys.exit(f"no reply within {WAIT_SECONDS} s")
print(properties.headers["tocsin-status"], body.decode())
