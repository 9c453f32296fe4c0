import { oscore } from '@iopa/oscore'
import { describe, expect, test } from 'vitest'
import { hex } from './bytes.ts'
import { CLIENT, MemoryStore, SERVER } from './peers.ts'

const refusal = (contexts: readonly object[], more: object = {}): string => {
  try {
    oscore({ contexts, ...more } as never)
  } catch (error) {
    expect(error).toMatchObject({ status: 500, code: 'bad-option' })
    return (error as { detail: string }).detail
  }
  return ''
}

describe('oscore()', () => {
  test.each([
    ['no contexts', [], {}, 'at least one security context'],
    ['no id', [{ ...CLIENT, id: undefined }], {}, 'needs an id'],
    ['a short secret', [{ ...CLIENT, masterSecret: hex('00') }], {}, 'masterSecret'],
    ['a secret as text', [{ ...CLIENT, masterSecret: '0102030405060708090a0b0c0d0e0f10' }], {}, 'masterSecret'],
    ['no secret', [{ ...CLIENT, masterSecret: undefined }], {}, 'masterSecret'],
    ['no sender id', [{ ...CLIENT, senderId: undefined }], {}, 'senderId'],
    ['a sender id of 8 bytes', [{ ...CLIENT, senderId: hex('0102030405060708') }], {}, '0 to 7 bytes'],
    ['an id of 7 bytes for GCM', [{ ...CLIENT, algorithm: 'A128GCM', recipientId: hex('01020304050607') }], {}, '0 to 6 bytes'],
    ['equal ids', [{ ...CLIENT, senderId: CLIENT.recipientId }], {}, 'two different ids'],
    ['an unknown algorithm', [{ ...CLIENT, algorithm: 'toString' }], {}, 'AES-CCM-16-64-128, A128GCM'],
    ['an unknown derivation', [{ ...CLIENT, derive: 'never' }], {}, "'each-start'"],
    ['keys that stay without a store', [{ ...CLIENT, derive: 'once' }], {}, 'a restart would use nonces a second time'],
    ['servers that are no URLs', [{ ...CLIENT, servers: ['sensor'] }], {}, "not 'sensor'"],
    ['the same keys twice', [CLIENT, { ...CLIENT, id: 'other', servers: [] }], {}, 'have the same keys'],
    ['the same server twice', [CLIENT, { ...SERVER, servers: ['coap+tcp://sensor.example:5683'] }], {}, 'for the same server'],
    ['a store that is none', [CLIENT], { store: './oscore' }, 'what fileStore() returns'],
    ['a requirement that is none', [CLIENT], { require: '/doors' }, 'a function of the path']
  ])('refuses %s', (_, contexts, more, sentence) => {
    expect(refusal(contexts as never, more)).toContain(sentence)
  })

  test('copies the keys that it is given', () => {
    const masterSecret = new Uint8Array(16).fill(1)
    const options = { contexts: [{ ...CLIENT, masterSecret, derive: 'once' as const }], store: new MemoryStore() }
    oscore(options)
    masterSecret.fill(2)
    expect(refusal([{ ...CLIENT, masterSecret }], { store: new MemoryStore() })).toBe('')
  })
})
