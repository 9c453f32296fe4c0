import net from 'node:net'
import { type Driver, pause } from './driver.ts'
import { MIX, pick } from './ledger.ts'

interface Frame {
  readonly 'iopa.StatusCode'?: number
  readonly 'iopa.Seq'?: string
}

/** One connection with bags as lines; half of them carry a Seq, so that their answers may come in any order. */
export const driveTcp: Driver = ({ port, ledger, random, count, mode }) =>
  new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    const ordered: string[] = []
    const numbered = new Set<string>()
    let text = ''
    let left = count
    let over = false
    const end = (): void => {
      if (over) return
      over = true
      ledger.ended([...ordered, ...numbered])
      socket.destroy()
      resolve()
    }
    const send = (): void => {
      const depth = Math.min(left, 1 + Math.floor(random() * 6))
      left -= depth
      let block = ''
      for (let at = 0; at < depth; at++) {
        const behaviour = pick(random, MIX)
        const token = ledger.open('tcp', behaviour)
        const bag: Record<string, unknown> = { 'iopa.Method': 'GET', 'iopa.Path': `/${behaviour}/${token}`, 'iopa.Headers': { 'x-token': token } }
        if (random() < 0.5) Object.assign(bag, { 'iopa.Method': 'PUT', 'iopa.Body': token, 'iopa.ContentType': 'text/plain' })
        if (random() < 0.5) {
          bag['iopa.Seq'] = token
          numbered.add(token)
        } else ordered.push(token)
        block += `${JSON.stringify(bag)}\n`
      }
      socket.write(block)
      if (mode === 'slow') {
        socket.pause()
        setTimeout(() => socket.resume(), pause(random))
      }
      if (mode === 'abort' || mode === 'reset')
        setTimeout(() => {
          if (mode === 'reset') socket.resetAndDestroy()
          end()
        }, pause(random))
    }
    socket.on('connect', send)
    socket.on('error', end)
    socket.on('close', end)
    socket.on('data', data => {
      text += data.toString()
      const lines = text.split('\n')
      text = lines.pop() as string
      for (const line of lines) {
        const frame = JSON.parse(line) as Frame
        const seq = frame['iopa.Seq']
        if (seq !== undefined) numbered.delete(seq)
        ledger.answered(seq ?? (ordered.shift() as string), frame['iopa.StatusCode'] as number, line)
      }
      if (ordered.length + numbered.size === 0 && !over) {
        if (left > 0) send()
        else end()
      }
    })
  })
