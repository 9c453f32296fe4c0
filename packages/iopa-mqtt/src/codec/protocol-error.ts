/** A packet that breaks the protocol: the connection ends with this reason code (MQTT 5 section 4.13). */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly reasonCode: number

  constructor(reasonCode: number, message: string) {
    super(message)
    this.reasonCode = reasonCode
  }
}
