import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Sends 3,000 requests with Java's default HTTP client, and counts its connections. The client asks for HTTP/2 with
 * each request. The exit code is 1 if the client needs more than two connections, or a response is not 200.
 *
 * Usage: java ConnectionCount.java URL
 */
public final class ConnectionCount {
    private static final int REQUESTS = 3_000;
    private static final int MOST_CONNECTIONS = 2;

    public static void main(String[] arguments) throws Exception {
        URI server = URI.create(arguments[0]);
        AtomicInteger connections = new AtomicInteger();
        try (ServerSocket relay = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            start(() -> relay(relay, server, connections));
            String url = "http://127.0.0.1:" + relay.getLocalPort();
            HttpClient client = HttpClient.newHttpClient();
            // The fast path responds to the first path, the router to the second.
            String[] paths = {"/api/products/1", "/api/products"};
            for (int number = 0; number < REQUESTS; number++) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(url + paths[number % 2])).build();
                HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
                if (response.statusCode() != 200) throw new IOException("response " + number + " is " + response);
            }
        }
        System.out.println(REQUESTS + " requests used " + connections + " connections");
        System.exit(connections.get() <= MOST_CONNECTIONS ? 0 : 1);
    }

    /** Relays each connection to the server. */
    private static void relay(ServerSocket relay, URI server, AtomicInteger connections) throws IOException {
        while (!relay.isClosed()) {
            Socket client = relay.accept();
            connections.incrementAndGet();
            Socket upstream = new Socket(server.getHost(), server.getPort());
            start(() -> pass(client, upstream));
            start(() -> pass(upstream, client));
        }
    }

    private static void pass(Socket from, Socket to) throws IOException {
        InputStream input = from.getInputStream();
        OutputStream output = to.getOutputStream();
        byte[] bytes = new byte[1 << 16];
        for (int count; (count = input.read(bytes)) > 0; ) output.write(bytes, 0, count);
        to.shutdownOutput();
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException error) {
                // The other side has closed the connection. The client reports errors itself.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
