import { ALERT, HandshakeFailure } from '../alerts.ts'
import { type ByteReader, numberBytes, vector } from '../bytes.ts'
import { NAMED_GROUPS } from './named-groups.ts'

/** What a server chose: the group, and its public key in it (RFC 8422 section 5.4, ServerECDHParams). */
export interface EcdhParameters {
  readonly group: number
  readonly publicKey: Uint8Array
}

const NAMED_CURVE = 3

export const ecdhParameterBytes = ({ group, publicKey }: EcdhParameters): Buffer =>
  Buffer.concat([numberBytes(NAMED_CURVE, 1), numberBytes(group, 2), vector(1, publicKey)])

/** @throws HandshakeFailure for lengths that do not fit, and for a group that was not offered. */
export const readEcdhParameters = (reader: ByteReader): EcdhParameters => {
  const form = reader.number(1)
  const group = reader.number(2)
  if (form !== NAMED_CURVE || !NAMED_GROUPS.includes(group))
    throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, `The server has chosen the group ${group}, which was not offered.`)
  return { group, publicKey: reader.vector(1, 1) }
}
