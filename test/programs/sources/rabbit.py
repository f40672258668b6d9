import time

import pika
from facts import tell

parked = consumed = published = 0
while True:
    try:
        connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1'))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare('work', durable=True)
        queue = channel.queue_declare('parked', durable=True)
        parked = queue.method.message_count
        while parked < 500:
            channel.basic_publish('', 'parked', b'x' * 500, pika.BasicProperties(delivery_mode=2))
            parked += 1
        while True:
            channel.basic_publish('', 'work', b'x' * 500, pika.BasicProperties(delivery_mode=2))
            published += 1
            delivery, _, _ = channel.basic_get('work')
            if delivery is not None:
                channel.basic_ack(delivery.delivery_tag)
                consumed += 1
            parked = channel.queue_declare('parked', passive=True).method.message_count
            tell(published=published, consumed=consumed, parked=parked)
            time.sleep(0.05)
    except (pika.exceptions.AMQPError, OSError):
        time.sleep(0.5)
