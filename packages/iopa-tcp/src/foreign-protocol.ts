import { IopaError } from '@iopa/transport'

const HANDSHAKE = 0x16
const HTTP = / HTTP\/\d(?:\.\d)?$/

/**
 * What to answer to a line that another protocol begins with; null for any other line. A web page can make a browser
 * send HTTP, or a TLS handshake with lines of its choice in it, to any port of this machine: nothing after it may be obeyed.
 */
export function foreignProtocol(line: Uint8Array): IopaError | null {
  const name = line[0] === HANDSHAKE ? 'TLS' : HTTP.test(Buffer.from(line.subarray(-10)).toString('latin1')) ? 'HTTP' : null
  return name && new IopaError(400, 'foreign-protocol', `This port takes lines of JSON, not ${name}.`)
}
