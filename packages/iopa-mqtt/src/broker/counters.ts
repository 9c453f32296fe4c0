/** What a broker has counted since it started. */
export class Counters {
  /** PUBLISH packets that came, and that were sent. */
  received = 0
  sent = 0
  /** Bytes of their payloads. */
  payloadReceived = 0
  payloadSent = 0
  /** Packets of other types. */
  controlReceived = 0
  controlSent = 0
  bytesReceived = 0
  bytesSent = 0
  /** Messages that a client did not get although it had asked for them: its queue was full, it was slow, its session ended, it may not have them any more. */
  dropped = 0
  /** Messages of QoS 0 for sessions whose clients were away. */
  absent = 0
  /** Messages that expired while they waited (MQTT 5 section 3.3.2.3.3). */
  outdated = 0
  /** Connections that came, and CONNECT packets. */
  sockets = 0
  connects = 0
  /** Most sessions at a time, as far as was looked. */
  mostClients = 0
  /** Sessions that ended because their time was over. */
  expired = 0
  /** Idle sessions that ended to make room for other users. */
  evicted = 0
  /** Records and writes of the store that were damaged when it was read. */
  damaged = 0
}
