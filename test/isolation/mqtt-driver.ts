import mqtt from 'mqtt'
import { type Driver, pause } from './driver.ts'
import { MIX, pick } from './ledger.ts'

/** One MQTT.js client with requests to a response topic of its own. */
export const driveMqtt: Driver = async ({ port, ledger, random, count, mode }) => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  const waiting = new Set<string>()
  const answers = `answers/${client.options.clientId}`
  let left = count
  let over = false
  const stream = client.stream as unknown as { resetAndDestroy?(): void; destroy(): void; pause(): void; resume(): void }
  await client.subscribeAsync(answers, { qos: 1 })
  await new Promise<void>(resolve => {
    const end = (): void => {
      if (over) return
      over = true
      ledger.ended(waiting)
      if (mode === 'reset') stream.resetAndDestroy?.()
      resolve()
    }
    const send = (): void => {
      const depth = Math.min(left, 1 + Math.floor(random() * 6))
      left -= depth
      for (let at = 0; at < depth; at++) {
        const behaviour = pick(random, MIX)
        const token = ledger.open('mqtt', behaviour)
        waiting.add(token)
        client.publish(
          `${behaviour}/${token}`,
          random() < 0.5 ? token : '',
          {
            qos: random() < 0.5 ? 1 : 0,
            properties: { responseTopic: answers, correlationData: Buffer.from(token), userProperties: { 'x-token': token } }
          },
          () => undefined
        )
      }
      if (mode === 'slow') {
        stream.pause()
        setTimeout(() => stream.resume(), pause(random))
      }
      if (mode === 'abort' || mode === 'reset') setTimeout(end, pause(random))
    }
    client.on('error', end)
    client.on('close', end)
    client.on('message', (topic, payload, packet) => {
      const token = String(packet.properties?.correlationData)
      waiting.delete(token)
      const status = Number((packet.properties?.userProperties as { status?: string } | undefined)?.status)
      ledger.answered(token, status, `${topic === answers ? '' : topic} ${payload} ${JSON.stringify(packet.properties?.userProperties)}`)
      if (waiting.size === 0 && !over) {
        if (left > 0) send()
        else end()
      }
    })
    send()
  })
  await client.endAsync(true)
}
