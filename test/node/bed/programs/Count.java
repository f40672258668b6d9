import java.io.RandomAccessFile;
import java.net.ServerSocket;
import java.util.Random;

/** The state of a JVM: a heap of objects, threads, an open file and a listening socket. See hog.c for what it does. */
public class Count {
  static volatile long count;

  public static void main(String[] args) throws Exception {
    var blocks = new byte[Integer.parseInt(args[0])][1 << 20];
    for (int i = 0; i < blocks.length; i++) new Random(i).nextBytes(blocks[i]);
    var server = new ServerSocket(Integer.parseInt(args[1]));
    Thread.ofPlatform().daemon().start(() -> answer(server, blocks));
    try (var file = new RandomAccessFile("/count", "rw")) {
      for (;;) {
        count++;
        file.seek(0);
        file.write((count + "\n").getBytes());
        System.out.println(count);
        Thread.sleep(100);
      }
    }
  }

  static void answer(ServerSocket server, byte[][] blocks) {
    for (;;) {
      try (var client = server.accept()) {
        client.getOutputStream().write(("count=" + count + " data=" + verdict(blocks) + "\n").getBytes());
      } catch (java.io.IOException gone) {
        // Who asked has left; the next one may stay.
      }
    }
  }

  static String verdict(byte[][] blocks) {
    var wanted = new byte[1 << 20];
    for (int i = 0; i < blocks.length; i++) {
      new Random(i).nextBytes(wanted);
      if (!java.util.Arrays.equals(wanted, blocks[i])) return "corrupt";
    }
    return "ok";
  }
}
