import { answerToError, type ByteChannel, type Clock, encodeBagAnswer, IopaError } from '@iopa/transport'

// Connections that are told so at once; those beyond are dropped without a word.
const AT_ONCE = 64
// How long such a connection waits for the peer to close, in milliseconds.
const LINGER = 1000

/** Refuses connections over the limit: a peer that speaks bags is told 503. */
export function refusals(bag: boolean, clock: Clock): (channel: ByteChannel) => void {
  let open = 0
  const answer = answerToError(
    new IopaError(503, 'too-many-connections', 'The server has as many connections as it may have; try again.', { headers: { 'retry-after': '10' } })
  )
  const line = Buffer.from(`${encodeBagAnswer(answer, undefined)}\n`)

  return channel => {
    if (!bag || open >= AT_ONCE) return channel.destroy()
    open++
    const timer = clock.setTimeout(() => channel.destroy(), LINGER)
    channel.open({
      data: () => undefined,
      end: () => channel.end(),
      drain: () => undefined,
      close: () => {
        open--
        clock.clearTimeout(timer)
      }
    })
    channel.write(line)
    channel.end()
  }
}
