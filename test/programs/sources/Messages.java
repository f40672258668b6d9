import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;

/** Produces numbers and reads them again: none may be lost, and none may come twice. */
class Messages {
    public static void main(String[] arguments) throws Exception {
        var client = System.nanoTime();
        Map<String, Object> common = Map.of("bootstrap.servers", "127.0.0.1:9092");
        var producer = new KafkaProducer<>(with(common, Map.of("acks", "all", "enable.idempotence", true)),
            new LongSerializer(), new LongSerializer());
        var consumer = new KafkaConsumer<>(with(common, Map.of("group.id", "readers", "auto.offset.reset", "earliest")),
            new LongDeserializer(), new LongDeserializer());
        consumer.subscribe(List.of("numbers"));
        long produced = 0, consumed = 0, lost = 0;
        while (true) {
            producer.send(new ProducerRecord<>("numbers", produced, produced)).get();
            produced++;
            for (var record : consumer.poll(Duration.ofMillis(20))) {
                if (record.value() > consumed) lost += record.value() - consumed;
                consumed = Math.max(consumed, record.value() + 1);
            }
            var facts = "produced %d\nconsumed %d\nlost %d\nclient %d\n".formatted(produced, consumed, lost, client);
            Files.writeString(Path.of("/work/.state"), facts);
            Files.move(Path.of("/work/.state"), Path.of("/work/state"), StandardCopyOption.ATOMIC_MOVE);
        }
    }

    static Map<String, Object> with(Map<String, Object> some, Map<String, Object> more) {
        var all = new java.util.HashMap<>(some);
        all.putAll(more);
        return all;
    }
}
