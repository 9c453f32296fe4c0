import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type ChainPolicy, MOST_CERTIFICATES, refusedChain } from '../src/certificates/chain.ts'
import { authority, type CertificateText, type Credential, extension, issue, NOW } from './certificate-authority.ts'

const root = authority()
const DAY = 86_400_000

const check = (chain: readonly Credential[], policy: Partial<ChainPolicy> = {}): string | undefined =>
  refusedChain(
    chain.map(({ x509 }) => x509),
    { authorities: [root.x509], role: 'server', now: NOW, ...policy }
  )

const one = (text: CertificateText, policy: Partial<ChainPolicy> = {}): string | undefined => check([issue(text, root)], policy)

describe('A chain', () => {
  test('passes when an authority has signed the certificate', () => {
    expect(one({ names: ['lamp.example'] }, { name: 'lamp.example' })).toBeUndefined()
    expect(one({ keyUsage: 0x80, purposes: ['server'] })).toBeUndefined()
  })

  test('passes for a certificate that is trusted by itself', () => {
    const own = issue({ names: ['lamp.example'] })
    expect(check([own], { authorities: [own.x509], name: 'lamp.example' })).toBeUndefined()
    expect(check([own], { authorities: [own.x509], name: 'other.example' })).toBe('BAD_CERTIFICATE')
    expect(check([own])).toBe('UNKNOWN_CA')
  })

  test('passes over intermediate authorities in any order, with surplus ones', () => {
    const first = authority('first', {}, root)
    const second = authority('second', {}, first)
    const own = issue({}, second)
    expect(check([own, second, first])).toBeUndefined()
    expect(check([own, first, second, root])).toBeUndefined()
    expect(check([own, first])).toBe('UNKNOWN_CA')
  })

  test('has no certificate without authority between', () => {
    const device = issue({ name: 'device' }, root)
    expect(check([issue({ names: ['lamp.example'] }, device), device])).toBe('UNKNOWN_CA')
    const confined = authority('confined', { keyUsage: 0x80 }, root)
    expect(check([issue({}, confined), confined])).toBe('UNKNOWN_CA')
  })

  test('needs the key of the authority, not its name', () => {
    expect(check([issue({}, authority())])).toBe('UNKNOWN_CA')
  })

  test('ends by its dates', () => {
    const own = issue({}, root)
    expect(check([own], { now: NOW + 366 * DAY })).toBe('CERTIFICATE_EXPIRED')
    expect(check([own], { now: NOW - 2 * DAY })).toBe('CERTIFICATE_EXPIRED')
    const short = authority('short', { to: NOW + DAY }, root)
    expect(check([issue({}, short), short], { now: NOW + 2 * DAY })).toBe('CERTIFICATE_EXPIRED')
    const old = authority('old', { to: NOW + DAY })
    expect(check([issue({}, old)], { authorities: [old.x509], now: NOW + 2 * DAY })).toBe('CERTIFICATE_EXPIRED')
  })

  test('has the name that was asked for', () => {
    const named = { names: ['lamp.example', '127.0.0.1'], name: 'common.example' }
    expect(one(named, { name: '127.0.0.1' })).toBeUndefined()
    expect(one(named, { name: '127.0.0.2' })).toBe('BAD_CERTIFICATE')
    expect(one(named, { name: 'other.example' })).toBe('BAD_CERTIFICATE')
    // RFC 7252 9.1.3.3: the common name counts only without other names, and wildcards never.
    expect(one(named, { name: 'common.example' })).toBe('BAD_CERTIFICATE')
    expect(one({ name: 'common.example' }, { name: 'common.example' })).toBeUndefined()
    expect(one({ names: ['*.example'] }, { name: 'lamp.example' })).toBe('BAD_CERTIFICATE')
    expect(one({ name: '127.0.0.1' }, { name: '127.0.0.1' })).toBe('BAD_CERTIFICATE')
  })

  test('is used for what it says', () => {
    expect(one({ purposes: ['client'] })).toBe('UNSUPPORTED_CERTIFICATE')
    expect(one({ purposes: ['client'] }, { role: 'client' })).toBeUndefined()
    expect(one({ purposes: ['server'] }, { role: 'client' })).toBe('UNSUPPORTED_CERTIFICATE')
    expect(one({ keyUsage: 0x08 })).toBe('UNSUPPORTED_CERTIFICATE')
    const servers = authority('servers', { purposes: ['server'] }, root)
    expect(check([issue({}, servers), servers], { role: 'client' })).toBe('UNSUPPORTED_CERTIFICATE')
  })

  test('keeps the length that an authority allows', () => {
    const last = authority('last', { pathLength: 0 }, root)
    expect(check([issue({}, last), last])).toBeUndefined()
    const beyond = authority('beyond', {}, last)
    expect(check([issue({}, beyond), beyond, last])).toBe('UNKNOWN_CA')
  })

  test('has no critical extension that is not checked, and none twice', () => {
    const constraints = extension('551d1e', Buffer.from('3000', 'hex'), true)
    expect(one({ extensions: [constraints] })).toBe('UNSUPPORTED_CERTIFICATE')
    const usage = extension('551d0f', Buffer.from('03020080', 'hex'))
    expect(one({ keyUsage: 0x80, extensions: [usage] })).toBe('BAD_CERTIFICATE')
  })

  test('has no weak signature and no weak key', () => {
    expect(one({ hash: 'sha1' })).toBe('UNSUPPORTED_CERTIFICATE')
    const keys = generateKeyPairSync('rsa', { modulusLength: 1024 })
    expect(one({ keys })).toBe('UNSUPPORTED_CERTIFICATE')
    const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    expect(one({ keys: other })).toBe('UNSUPPORTED_CERTIFICATE')
  })

  test('is bounded', () => {
    const own = issue({}, root)
    expect(check(Array.from({ length: MOST_CERTIFICATES + 1 }, () => own))).toBe('BAD_CERTIFICATE')
    expect(check([])).toBe('BAD_CERTIFICATE')
  })

  test('ends where authorities sign each other', () => {
    const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const loop = authority('loop', { keys })
    const other = authority('other', {}, loop)
    const back = authority('loop', { keys }, other)
    expect(check([issue({}, other), other, back])).toBe('UNKNOWN_CA')
  })
})
