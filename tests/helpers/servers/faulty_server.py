"""A server with few threads, and TCP to one that fails when it is told to."""

import socket
import struct
import threading

import grpc
from kerasrnn_serving.server.rpc import StatusError


class Proxy:
    """Passes TCP on to a server, and fails when told to.

    Args:
        port: The server's.
        greet_after: Seconds that the server's first bytes on a connection
            are held back.

    Attributes:
        target: Its address.
        connections: How many it has accepted.
    """

    def __init__(self, port, greet_after=0.0):
        self._upstream = port
        self._greet_after = greet_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._fault = None
        self._sockets = []
        self._done = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def fail_next_reply(self, fault, after=20):
        """Fails the connection whose reply comes next.

        Args:
            fault: "close" ends it, "reset" cuts it off, "stall" says no
                more, "drip" goes on a byte at a time.
            after: Bytes of the reply that still pass.
        """
        self._fault = (fault, after)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            for function in (self._requests, self._replies):
                threading.Thread(
                    target=function, args=[client, server], daemon=True
                ).start()

    def _requests(self, client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            pass
        _shut(server)

    def _replies(self, client, server):
        self._done.wait(self._greet_after)
        try:
            while data := server.recv(65536):
                fault, self._fault = self._fault, None
                if fault is not None:
                    self._fail(client, data, *fault)
                    return
                client.sendall(data)
        except OSError:
            pass
        _shut(client)

    def _fail(self, client, data, fault, after):
        client.sendall(data[:after])
        if fault == "close":
            _shut(client)
        elif fault == "reset":
            # Lingering for no time sends RST in place of FIN.
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            _shut(client)
            client.close()
        elif fault == "drip":
            for byte in data[after:]:
                if self._done.wait(1):
                    return
                client.sendall(bytes([byte]))

    def close(self):
        self._done.set()
        self._listener.close()
        for connection in self._sockets:
            connection.close()


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class FewThreads:
    """Refuses calls beyond so many at once, as TensorFlow Serving does.

    Attributes:
        attempts: Calls that came.
        refused: Those of them that found no thread.

    Args:
        servable: Of the `FakeServer` that refuses from now on.
        threads: Calls that it takes at once.
        seconds: That a call takes.
    """

    def __init__(self, servable, threads, seconds=0.0):
        self._predict = servable.predict
        self._seconds = seconds
        self._free = threading.Semaphore(threads)
        self._lock = threading.Lock()
        self.attempts = self.refused = 0
        servable.predict = self.predict

    def predict(self, request, call):
        free = self._free.acquire(blocking=False)
        with self._lock:
            self.attempts += 1
            self.refused += not free
        if not free:
            raise StatusError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "Server Threadpool Exhausted",
            )
        try:
            threading.Event().wait(self._seconds)
            return self._predict(request, call)
        finally:
            self._free.release()
