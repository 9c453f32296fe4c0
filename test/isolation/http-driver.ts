import net from 'node:net'
import { type Driver, pause } from './driver.ts'
import { MIX, pick } from './ledger.ts'

/** One connection: requests in a pipeline, read to the end, broken off or read slowly. */
export const driveHttp: Driver = ({ port, ledger, random, count, mode }) =>
  new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    const waiting: string[] = []
    let text = ''
    let toSend = count
    let over = false
    const end = (left = false): void => {
      if (over) return
      over = true
      // A body that the server broke off has begun its answer.
      if (!left && waiting.length > 0 && text.includes('\r\n\r\n'))
        ledger.answered(waiting.shift() as string, Number(text.slice(9, 12)) === 200 ? 0 : 500, '')
      ledger.ended(waiting)
      socket.destroy()
      resolve()
    }
    const send = (): void => {
      const depth = Math.min(toSend, 1 + Math.floor(random() * 4))
      toSend -= depth
      let block = ''
      for (let at = 0; at < depth; at++) {
        const behaviour = pick(random, MIX)
        const token = ledger.open('http', behaviour)
        waiting.push(token)
        block +=
          random() < 0.5
            ? `GET /${behaviour}/${token} HTTP/1.1\r\nhost: localhost\r\nx-token: ${token}\r\n\r\n`
            : `PUT /${behaviour}/${token} HTTP/1.1\r\nhost: localhost\r\nx-token: ${token}\r\ncontent-type: text/plain\r\ncontent-length: ${token.length}\r\n\r\n${token}`
      }
      socket.write(block)
      if (mode === 'slow') {
        socket.pause()
        setTimeout(() => socket.resume(), pause(random))
      }
      if (mode === 'abort' || mode === 'reset')
        setTimeout(() => {
          if (mode === 'reset') socket.resetAndDestroy()
          end(true)
        }, pause(random))
    }
    socket.on('connect', send)
    socket.on('error', () => end())
    socket.on('close', () => end())
    socket.on('data', data => {
      text += data.toString('latin1')
      for (let length = wholeAnswer(text); length > 0 && !over; length = wholeAnswer(text)) {
        ledger.answered(waiting.shift() as string, Number(text.slice(9, 12)), text.slice(0, length))
        text = text.slice(length)
      }
      if (waiting.length === 0 && !over) {
        if (toSend > 0) send()
        else end()
      }
    })
  })

/** Length of the answer that a text begins with; 0 while it is not whole (RFC 9112 section 6.3). */
const wholeAnswer = (text: string): number => {
  const head = text.indexOf('\r\n\r\n') + 4
  if (head < 4) return 0
  const fields = text.slice(0, head).toLowerCase()
  const length = /\r\ncontent-length: (\d+)/.exec(fields)
  if (length !== null) return text.length >= head + Number(length[1]) ? head + Number(length[1]) : 0
  if (!fields.includes('transfer-encoding: chunked')) return head
  for (let at = head; ; ) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return 0
    const size = Number.parseInt(text.slice(at, line), 16)
    at = line + 2 + size + 2
    if (at > text.length) return 0
    if (size === 0) return at
  }
}
