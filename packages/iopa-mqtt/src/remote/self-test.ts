import { Duplex } from 'node:stream'
import { IopaError } from '@iopa/transport'
import { deferred } from './deferred.ts'

/*
 * What the bridge relies on in MQTT.js and what its documentation does not promise: that a message handed off with an error is not
 * acknowledged, that the next packet is worked on meanwhile, and that `_sendPacket` writes the acknowledgement. MQTT.js plays against a few
 * bytes of a broker here, so that another version that behaves differently is refused at start instead of losing messages.
 */
const CONNACK = [0x20, 0x02, 0x00, 0x00]
const PUBLISH_QOS_1 = [0x32, 0x06, 0x00, 0x01, 0x61, 0x00, 0x07, 0x78]
const PUBLISH_QOS_0 = [0x30, 0x04, 0x00, 0x01, 0x61, 0x79]
const PUBACK = [0x40, 0x02, 0x00, 0x07]

let passed: Promise<void> | null = null

/** Runs once in a process. @throws IopaError 500 when the installed MQTT.js does not behave as the bridge needs it to. */
export const assertHandOff = (): Promise<void> => (passed ??= run())

const run = async (): Promise<void> => {
  const { MqttClient } = await import('mqtt')
  const written: number[] = []
  const stream = new Duplex({
    read() {},
    write(chunk: Uint8Array, _encoding, done) {
      written.push(...chunk)
      done()
    }
  })
  const client = new MqttClient(() => stream, { protocolVersion: 4, keepalive: 0, reconnectPeriod: 0, clientId: 'self-test' })
  client.on('error', () => {})
  const second = deferred<void>()
  const seen: number[] = []
  client.handleMessage = (packet, callback) => {
    seen.push(packet.qos)
    callback(packet.qos === 1 ? new Error('acknowledged later') : undefined)
    if (packet.qos === 0) second.resolve()
  }
  const timer = setTimeout(() => second.reject(new Error('the second message did not arrive')), TIMEOUT)
  try {
    const connected = deferred<void>()
    client.on('connect', () => connected.resolve())
    stream.push(Uint8Array.from(CONNACK))
    await Promise.race([connected.promise, second.promise])
    written.length = 0
    stream.push(Uint8Array.from([...PUBLISH_QOS_1, ...PUBLISH_QOS_0]))
    await second.promise
    const before = [...written]
    client['_sendPacket']({ cmd: 'puback', messageId: 7, reasonCode: 0 })
    await new Promise(resolve => setImmediate(resolve))
    if (seen.join() !== '1,0' || before.length > 0 || written.join() !== PUBACK.join())
      throw new Error(`saw ${seen}, wrote ${before} then ${written}`)
  } catch (error) {
    throw new IopaError(
      500,
      'mqtt-js-incompatible',
      'The installed version of the package mqtt does not hand messages over as the bridge needs it: install 5.16.',
      {
        cause: error
      }
    )
  } finally {
    clearTimeout(timer)
    client.end(true)
  }
}

/** Milliseconds. */
const TIMEOUT = 1000
