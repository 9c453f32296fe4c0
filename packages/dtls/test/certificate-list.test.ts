import { describe, expect, test } from 'vitest'
import { certificateDetails } from '../src/certificates/certificate-details.ts'
import { decodeCertificateList, encodeCertificateList, parseCertificate } from '../src/certificates/certificate-list.ts'
import { parsePublicKeyInfo, publicKeyInfo, readPrivateKey, readPublicKey } from '../src/certificates/signing-keys.ts'
import { authority, issue } from './certificate-authority.ts'

const root = authority('authority', { pathLength: 3, keyUsage: 0x06 })
const own = issue({ names: ['lamp.example'], keyUsage: 0x80 }, root)

describe('A list of certificates', () => {
  test('comes back as it was', () => {
    const bytes = encodeCertificateList([own.der, root.der])
    expect(decodeCertificateList(bytes, 2)).toEqual([own.der, root.der].map(der => new Uint8Array(der)).map(der => Buffer.from(der)))
    expect(decodeCertificateList(encodeCertificateList([]), 2)).toEqual([])
  })

  test('is refused at each length that does not fit', () => {
    const bytes = encodeCertificateList([own.der])
    for (let length = 0; length < bytes.length; length++) expect(decodeCertificateList(bytes.subarray(0, length), 8)).toBeUndefined()
    for (let index = 0; index < 6; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ 1
      expect(decodeCertificateList(changed, 8)).toBeUndefined()
    }
    expect(decodeCertificateList(Buffer.from([0, 0, 3, 0, 0, 0]), 8)).toBeUndefined()
  })

  test('is refused with more certificates or bytes than a chain may have', () => {
    expect(decodeCertificateList(encodeCertificateList([own.der, own.der, own.der]), 2)).toBeUndefined()
    expect(decodeCertificateList(encodeCertificateList([Buffer.alloc(17_000)]), 8)).toBeUndefined()
  })
})

describe('A certificate of a peer', () => {
  test('is DER of one certificate', () => {
    expect(parseCertificate(own.der)?.subject).toBe('CN=device')
    expect(parseCertificate(Buffer.from(own.cert))).toBeUndefined()
    expect(parseCertificate(Buffer.concat([own.der, Buffer.from([0])]))).toBeUndefined()
    expect(parseCertificate(own.der.subarray(1))).toBeUndefined()
    expect(parseCertificate(new Uint8Array(0))).toBeUndefined()
  })

  test('shows key usage and path length', () => {
    expect(certificateDetails(own.der)).toMatchObject({ keyUsage: 0x80, strongSignature: true, unknownCritical: false })
    expect(certificateDetails(root.der)).toMatchObject({ keyUsage: 0x06, pathLength: 3 })
  })

  test('is read or refused, whatever its bytes are', () => {
    let read = 0
    for (let index = 0; index < own.der.length; index++) {
      expect(certificateDetails(own.der.subarray(0, index))).toBeUndefined()
      for (const bit of [1 << index % 8]) {
        const changed = Buffer.from(own.der)
        changed[index] = (changed[index] as number) ^ bit
        if (certificateDetails(changed) !== undefined) read++
        parseCertificate(changed)
      }
    }
    expect(read).toBeGreaterThan(0)
  })
})

describe('A raw public key', () => {
  test('is a key on P-256 in one form', () => {
    const info = publicKeyInfo(own.publicKey)
    expect(parsePublicKeyInfo(info)?.equals(own.publicKey)).toBe(true)
    for (let length = 0; length < info.length; length++) expect(parsePublicKeyInfo(info.subarray(0, length))).toBeUndefined()
    expect(parsePublicKeyInfo(Buffer.concat([info, Buffer.from([0])]))).toBeUndefined()
    const off = Buffer.from(info)
    off[off.length - 1] = (off[off.length - 1] as number) ^ 1
    expect(parsePublicKeyInfo(off)).toBeUndefined()
  })

  test('is given as PEM or DER', () => {
    const pem = own.publicKey.export({ format: 'pem', type: 'spki' }) as string
    for (const given of [pem, Buffer.from(pem), publicKeyInfo(own.publicKey)]) expect(readPublicKey(given).equals(own.publicKey)).toBe(true)
    const der = own.privateKey.export({ format: 'der', type: 'pkcs8' })
    for (const given of [own.key, Buffer.from(own.key), der]) expect(readPrivateKey(given).equals(own.privateKey)).toBe(true)
  })
})
