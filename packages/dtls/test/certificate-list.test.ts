import { describe, expect, test } from 'vitest'
import { HandshakeFailure } from '../src/alerts.ts'
import { certificateDetails } from '../src/certificates/certificate-details.ts'
import { certificateListBytes, readCertificateList } from '../src/certificates/certificate-list.ts'
import { rawPublicKeyBytes, readRawPublicKey } from '../src/certificates/raw-public-key.ts'
import { publicKeyInfo, readPrivateKey, readPublicKey } from '../src/certificates/signing-keys.ts'
import { authority, issue } from './certificate-authority.ts'

const root = authority('authority', { pathLength: 3, keyUsage: 0x06 })
const own = issue({ names: ['lamp.example'], keyUsage: 0x80 }, root)

describe('A list of certificates', () => {
  test('comes back as it was', () => {
    expect(readCertificateList(certificateListBytes([own.der, root.der])).map(({ raw }) => raw)).toEqual([own.der, root.der])
    expect(readCertificateList(certificateListBytes([]))).toEqual([])
  })

  test('is refused at each length that does not fit', () => {
    const bytes = certificateListBytes([own.der])
    for (let length = 0; length < bytes.length; length++) expect(() => readCertificateList(bytes.subarray(0, length))).toThrow(HandshakeFailure)
    for (let index = 0; index < 6; index++) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] as number) ^ 1
      expect(() => readCertificateList(changed)).toThrow(HandshakeFailure)
    }
    expect(() => readCertificateList(Buffer.from([0, 0, 3, 0, 0, 0]))).toThrow(HandshakeFailure)
  })

  test('is refused with more certificates or bytes than a chain may have', () => {
    expect(() => readCertificateList(certificateListBytes(Array.from({ length: 9 }, () => own.der)))).toThrow('more than 8')
    expect(() => readCertificateList(certificateListBytes([Buffer.alloc(17_000)]))).toThrow(HandshakeFailure)
  })

  test('has DER of one certificate each', () => {
    for (const wrong of [Buffer.from(own.cert), Buffer.concat([own.der, Buffer.from([0])]), own.der.subarray(1)])
      expect(() => readCertificateList(certificateListBytes([wrong]))).toThrow('cannot be read')
  })
})

describe('A certificate', () => {
  test('shows key usage and path length', () => {
    expect(certificateDetails(own.der)).toMatchObject({ keyUsage: 0x80, strongSignature: true, unknownCritical: false })
    expect(certificateDetails(root.der)).toMatchObject({ keyUsage: 0x06, pathLength: 3 })
  })

  test('is read or refused, whatever its bytes are', () => {
    let read = 0
    for (let index = 0; index < own.der.length; index++) {
      expect(certificateDetails(own.der.subarray(0, index))).toBeUndefined()
      for (const bit of [1 << (index % 8)]) {
        const changed = Buffer.from(own.der)
        changed[index] = (changed[index] as number) ^ bit
        if (certificateDetails(changed) !== undefined) read++
      }
    }
    expect(read).toBeGreaterThan(0)
  })
})

describe('A raw public key', () => {
  test('is a key on P-256 in one form', () => {
    const info = publicKeyInfo(own.publicKey)
    const read = (given: Uint8Array) => readRawPublicKey(rawPublicKeyBytes(given))
    expect(read(info)?.equals(own.publicKey)).toBe(true)
    expect(read(Buffer.alloc(0))).toBeUndefined()
    for (let length = 1; length < info.length; length++) expect(() => read(info.subarray(0, length))).toThrow('no ECDSA key')
    expect(() => read(Buffer.concat([info, Buffer.from([0])]))).toThrow('no ECDSA key')
    const off = Buffer.from(info)
    off[off.length - 1] = (off[off.length - 1] as number) ^ 1
    expect(() => read(off)).toThrow('no ECDSA key')
    expect(() => readRawPublicKey(info)).toThrow(HandshakeFailure)
  })

  test('is given as PEM or DER', () => {
    const pem = own.publicKey.export({ format: 'pem', type: 'spki' }) as string
    for (const given of [pem, Buffer.from(pem), publicKeyInfo(own.publicKey)]) expect(readPublicKey(given).equals(own.publicKey)).toBe(true)
    const der = own.privateKey.export({ format: 'der', type: 'pkcs8' })
    for (const given of [own.key, Buffer.from(own.key), der]) expect(readPrivateKey(given).equals(own.privateKey)).toBe(true)
  })
})
