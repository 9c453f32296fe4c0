import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'

/** Certificates with whatever a test needs in them, without a program of others. */

type Bytes = Uint8Array

const tlv = (tag: number, ...parts: readonly Bytes[]): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}
const sequence = (...parts: readonly Bytes[]): Buffer => tlv(0x30, ...parts)
const oid = (hex: string): Buffer => tlv(6, Buffer.from(hex, 'hex'))
const text = (value: string): Buffer => tlv(12, Buffer.from(value))
const bits = (bytes: Bytes): Buffer => tlv(3, Buffer.from([0]), bytes)
const time = (date: number): Buffer => tlv(24, Buffer.from(`${new Date(date).toISOString().replace(/[-:T]|\.\d+/g, '')}`))
const commonName = (name: string): Buffer => sequence(tlv(0x31, sequence(oid('550403'), text(name))))

export const extension = (id: string, value: Bytes, critical = false): Buffer =>
  sequence(oid(id), ...(critical ? [tlv(1, Buffer.from([255]))] : []), tlv(4, value))

const PURPOSES = { server: '2b06010505070301', client: '2b06010505070302' } as const

/** What a certificate says. */
export interface CertificateText {
  readonly name?: string
  /** DNS names, or addresses of four numbers. */
  readonly names?: readonly string[]
  readonly authority?: boolean
  readonly pathLength?: number
  /** The first byte of key usage. */
  readonly keyUsage?: number
  readonly purposes?: readonly (keyof typeof PURPOSES)[]
  readonly from?: number
  readonly to?: number
  readonly extensions?: readonly Bytes[]
  readonly hash?: 'sha1' | 'sha256'
  readonly keys?: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }
}

/** A certificate with its private key. */
export interface Credential {
  readonly x509: X509Certificate
  readonly der: Buffer
  readonly cert: string
  readonly key: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly name: string
}

const DAY = 86_400_000
export const NOW: number = Date.now()

const nameOf = (name: string): Buffer => (/^[\d.]+$/.test(name) ? tlv(0x87, Buffer.from(name.split('.').map(Number))) : tlv(0x82, Buffer.from(name)))

function extensionsOf({ names = [], authority = false, pathLength, keyUsage, purposes, extensions = [] }: CertificateText): Buffer[] {
  const length = pathLength === undefined ? [] : [tlv(2, Buffer.from([pathLength]))]
  return [
    ...(names.length === 0 ? [] : [extension('551d11', sequence(...names.map(nameOf)))]),
    ...(authority ? [extension('551d13', sequence(tlv(1, Buffer.from([255])), ...length), true)] : []),
    ...(keyUsage === undefined ? [] : [extension('551d0f', bits(Buffer.from([keyUsage])), true)]),
    ...(purposes === undefined ? [] : [extension('551d25', sequence(...purposes.map(purpose => oid(PURPOSES[purpose]))))]),
    ...(extensions as Buffer[])
  ]
}

/** Signs a certificate by an issuer, or by itself. */
export function issue(given: CertificateText, issuer?: Credential): Credential {
  const { name = 'device', from = NOW - DAY, to = NOW + 365 * DAY, hash = 'sha256' } = given
  const keys = given.keys ?? generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const extensions = extensionsOf(given)
  const algorithm = sequence(oid(hash === 'sha1' ? '2a8648ce3d0401' : '2a8648ce3d040302'))
  const tbs = sequence(
    tlv(0xa0, tlv(2, Buffer.from([2]))),
    tlv(2, Buffer.from([1]), randomBytes(8)),
    algorithm,
    commonName(issuer?.name ?? name),
    sequence(time(from), time(to)),
    commonName(name),
    keys.publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions.length === 0 ? [] : [tlv(0xa3, sequence(...extensions))])
  )
  const der = sequence(tbs, algorithm, bits(sign(hash, tbs, issuer?.privateKey ?? keys.privateKey)))
  const x509 = new X509Certificate(der)
  const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
  return { x509, der, cert: x509.toString(), key, ...keys, name }
}

/** An authority that signs. */
export const authority = (name = 'authority', more: CertificateText = {}, issuer?: Credential): Credential =>
  issue({ name, authority: true, ...more }, issuer)
