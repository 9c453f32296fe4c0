/** Types of handshake messages (RFC 5246 section 7.4, RFC 6347 section 4.3.2, RFC 5077 section 3.3). */
export const MESSAGE = {
  HELLO_REQUEST: 0,
  CLIENT_HELLO: 1,
  SERVER_HELLO: 2,
  HELLO_VERIFY_REQUEST: 3,
  NEW_SESSION_TICKET: 4,
  CERTIFICATE: 11,
  SERVER_KEY_EXCHANGE: 12,
  CERTIFICATE_REQUEST: 13,
  SERVER_HELLO_DONE: 14,
  CERTIFICATE_VERIFY: 15,
  CLIENT_KEY_EXCHANGE: 16,
  FINISHED: 20
} as const

/** A handshake message without its header. */
export interface HandshakeMessage {
  /** One of `MESSAGE`. */
  readonly type: number
  readonly body: Uint8Array
}

/** Bytes of the header of a handshake message. */
export const MESSAGE_HEADER = 12

/** The header of a message or of one of its fragments (RFC 6347 section 4.2.2). */
export const messageHeader = (type: number, length: number, sequence: number, offset = 0, fragment: number = length): Buffer => {
  const header = Buffer.allocUnsafe(MESSAGE_HEADER)
  header.writeUInt8(type, 0)
  header.writeUIntBE(length, 1, 3)
  header.writeUInt16BE(sequence, 4)
  header.writeUIntBE(offset, 6, 3)
  header.writeUIntBE(fragment, 9, 3)
  return header
}
