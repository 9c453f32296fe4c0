import { IopaError } from '@iopa/transport'
import { type ConnectionOptions, nameOf } from './connection-options.ts'

/** No CONNACK in time. */
export const timedOut = ({ url, connectTimeout }: ConnectionOptions): IopaError =>
  new IopaError(504, 'timeout', `The broker ${nameOf(url)} did not accept the connection within ${connectTimeout} ms.`)

/** What a refusal means (MQTT 5 section 3.2.2.2; MQTT 3.1.1 table 3.1). */
export const connectError = (error: Error & { code?: unknown }, options: ConnectionOptions, serverReference: string): IopaError => {
  const broker = nameOf(options.url)
  const cause = { cause: error }
  switch (error.code) {
    case 0x01:
    case 0x84:
      return new IopaError(
        501,
        'protocol-version',
        `The broker ${broker} does not speak MQTT ${options.protocolVersion === 5 ? '5' : '3.1.1'}.`,
        cause
      )
    case 0x04:
    case 0x86:
    case 0x8c:
      return new IopaError(401, 'broker-credentials', `The broker ${broker} refuses this user name and password.`, cause)
    case 0x02:
    case 0x85:
      return new IopaError(
        400,
        'broker-client-id',
        `The broker ${broker} refuses the client identifier '${options.clientId}': give another one.`,
        cause
      )
    case 0x05:
    case 0x87:
    case 0x8a:
      return new IopaError(403, 'broker-forbidden', `The broker ${broker} does not let this client connect.`, cause)
    case 0x9c:
    case 0x9d:
      return new IopaError(503, 'broker-moved', `The broker ${broker} asks to use another server.`, {
        ...cause,
        ...(serverReference === '' ? {} : { extensions: { serverReference } })
      })
    default:
      return new IopaError(
        502,
        'connect-failed',
        `Cannot connect to the broker ${broker}: it cannot be reached, or does not accept connections now.`,
        cause
      )
  }
}
