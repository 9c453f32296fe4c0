/** Alerts of TLS 1.2 that are used here (RFC 5246 section 7.2). */
export const ALERT = {
  CLOSE_NOTIFY: 0,
  UNEXPECTED_MESSAGE: 10,
  HANDSHAKE_FAILURE: 40,
  BAD_CERTIFICATE: 42,
  UNSUPPORTED_CERTIFICATE: 43,
  CERTIFICATE_REVOKED: 44,
  CERTIFICATE_EXPIRED: 45,
  CERTIFICATE_UNKNOWN: 46,
  ILLEGAL_PARAMETER: 47,
  UNKNOWN_CA: 48,
  DECODE_ERROR: 50,
  DECRYPT_ERROR: 51,
  PROTOCOL_VERSION: 70,
  INTERNAL_ERROR: 80,
  USER_CANCELED: 90,
  NO_RENEGOTIATION: 100,
  UNSUPPORTED_EXTENSION: 110
} as const

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(ALERT).map(([name, code]) => [code, name.toLowerCase()]))

/** The name of an alert, such as `handshake_failure`. */
export const alertName = (alert: number): string => NAMES.get(alert) ?? `alert ${alert}`

/** Ends a handshake: the peer gets the alert, and nothing of the message. */
export class HandshakeFailure extends Error {
  override readonly name: string = 'HandshakeFailure'
  readonly alert: number

  constructor(alert: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.alert = alert
  }
}
