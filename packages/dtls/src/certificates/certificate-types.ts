import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'

/** What a Certificate message contains (RFC 7250 section 3). */
export const X509 = 0
export const RAW_PUBLIC_KEY = 2
export type CertificateType = typeof X509 | typeof RAW_PUBLIC_KEY

/** The list in a ClientHello, the preferred one first. */
export const certificateTypeList = (types: readonly CertificateType[]): Buffer => vector(1, Buffer.from(types))

/** What the server chose, in its ServerHello. */
export const certificateTypeChoice = (type: CertificateType): Buffer => Buffer.from([type])

/** The first type of a client's list that serves; X.509 is all that a client without a list takes. Undefined where none serves. */
export const chooseType = (list: Uint8Array | undefined, serves: (type: CertificateType) => boolean): CertificateType | undefined => {
  if (list === undefined) return serves(X509) ? X509 : undefined
  const reader = new ByteReader(list)
  const types = reader.vector(1, 1)
  reader.end()
  return [...types].find((type): type is CertificateType => (type === X509 || type === RAW_PUBLIC_KEY) && serves(type))
}

/** The type that a server has chosen. @throws HandshakeFailure for one that was not offered; a server that says nothing has chosen X.509. */
export const chosenType = (choice: Uint8Array | undefined, offered: readonly CertificateType[]): CertificateType => {
  const type = choice === undefined ? X509 : choice.length === 1 ? choice[0] : undefined
  const found = offered.find(candidate => candidate === type)
  if (found === undefined)
    throw new HandshakeFailure(ALERT.UNSUPPORTED_CERTIFICATE, 'The server has chosen a type of certificate that was not offered.')
  return found
}
