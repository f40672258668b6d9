import type { Program } from '../types.ts';

const service = (collector: string): Pick<Program, 'image' | 'needs' | 'sources' | 'start' | 'look' | 'judge'> => ({
  image: 'jvm',
  needs: { debian: ['openjdk-21-jdk-headless', 'curl'] },
  sources: ['Service.java'],
  start: `exec java ${collector} -Xmx512m /programs/Service.java`,
  look: 'curl -s --max-time 3 http://127.0.0.1:8000/facts',
  judge: { grows: ['requests', 'allocated', 'ticks'], same: ['started', 'sum'] },
});

export const RUNTIMES: readonly Program[] = [
  {
    slug: 'java-g1',
    name: 'Java HTTP service, G1',
    load: 'clients in a loop, threads that allocate, a scheduled executor, a map of 200,000 entries',
    ...service('-XX:+UseG1GC'),
    mustBeWhole: true,
  },
  {
    slug: 'java-zgc',
    name: 'Java HTTP service, ZGC',
    load: 'clients in a loop, threads that allocate, a scheduled executor, a map of 200,000 entries',
    ...service('-XX:+UseZGC -XX:+ZGenerational'),
  },
  {
    slug: 'kafka',
    name: 'Kafka (KRaft)',
    load: 'a producer with acknowledgements and a consumer group, over TCP',
    image: 'jvm',
    needs: { debian: ['openjdk-21-jdk-headless', 'procps'], maven: ['org.apache.kafka:kafka_2.13:4.0.2'] },
    sources: ['kafka.properties', 'Messages.java'],
    start: `
      export CLASSPATH='/opt/maven/kafka_2.13/*'
      java kafka.tools.StorageTool format --standalone -t qkFX2ShGRZW7Kc6rQHDDHg -c /programs/kafka.properties >/dev/null
      java -Xmx128m /programs/Messages.java >/tmp/messages.log 2>&1 &
      exec java -Xmx384m -XX:+UseG1GC kafka.Kafka /programs/kafka.properties`,
    look: `
      cat /work/state
      echo "broker $(pgrep -f '[k]afka.Kafka')"`,
    judge: { grows: ['produced', 'consumed'], same: ['client'], is: { broker: '1', lost: '0' } },
  },
  {
    slug: 'spark',
    name: 'Spark, local',
    load: 'jobs with a shuffle over a cached data set, on two threads',
    image: 'jvm',
    needs: { debian: ['openjdk-21-jdk-headless', 'procps'], maven: ['org.apache.spark:spark-sql_2.13:4.0.1'] },
    sources: ['Jobs.java'],
    start: `
      export SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_HOSTNAME=localhost opens=''
      for package in lang lang.invoke lang.reflect io net nio util util.concurrent util.concurrent.atomic; do
        opens="$opens --add-opens=java.base/java.$package=ALL-UNNAMED"
      done
      for package in nio.ch nio.cs util.calendar security.action; do
        opens="$opens --add-opens=java.base/sun.$package=ALL-UNNAMED"
      done
      exec java $opens -Xmx768m -cp '/opt/maven/spark-sql_2.13/*' /programs/Jobs.java`,
    look: 'cat /work/state',
    judge: { grows: ['jobs'], same: ['application', 'sum'] },
  },
  {
    slug: 'r',
    name: 'R',
    load: 'linear models over random data, the generator going on from its seed',
    image: 'science',
    needs: { debian: ['r-base-core'] },
    sources: ['models.R'],
    start: 'exec Rscript /programs/models.R',
    look: 'cat /work/state',
    judge: { grows: ['fits'], same: ['data'], is: { reproducible: 'TRUE' } },
  },
];
