// A card with value, unit, age and the last minutes for each sensor.
import { cardsOf } from './cards.js'
import { drawSparkline } from './sparkline.js'

const MINUTES = 10
/** Milliseconds that a sparkline shows at least. */
const SHORTEST = 30_000
const numbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 })

/** What is known of the age of a reading, in words. */
const ageOf = milliseconds => {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 2) return 'now'
  if (seconds < 60) return `${seconds} s ago`
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`
}

const create = (id, card) => {
  const value = card.querySelector('data')
  const unit = card.querySelector('.unit')
  const age = card.querySelector('.age')
  const sparkline = card.querySelector('svg')
  let readings = []
  let reading = null

  const show = () => {
    const now = Date.now()
    age.textContent = reading === null ? '' : ageOf(now - reading.at)
    const first = readings.findIndex(({ at }) => at >= now - MINUTES * 60_000)
    readings = first < 0 ? readings.slice(-1) : readings.slice(first)
    // A few readings of the last seconds fill the card, too.
    const from = Math.max(now - MINUTES * 60_000, Math.min(readings[0]?.at ?? now, now - SHORTEST))
    drawSparkline(sparkline, readings, { from, to: now })
    sparkline.setAttribute('aria-label', `${id}, the last ${MINUTES} minutes: ${readings.length} readings`)
  }

  const remember = async () => {
    const since = new Date(Date.now() - MINUTES * 60_000).toISOString()
    const answer = await fetch(`/sensors/${encodeURIComponent(id)}/history?since=${since}&limit=1000`).catch(() => null)
    if (answer === null || !answer.ok) return
    const { items } = await answer.json()
    const older = items.map(({ time, state }) => ({ at: Date.parse(time), value: state.value }))
    const newest = older.at(-1)?.at ?? 0
    readings = [...older, ...readings.filter(({ at }) => at > newest)]
    show()
  }

  void remember()
  const timer = setInterval(() => (card.isConnected ? show() : clearInterval(timer)), 1000)
  return state => {
    if (reading?.at === state.at) return
    reading = state
    readings.push({ at: state.at, value: state.value })
    value.value = String(state.value)
    value.textContent = numbers.format(state.value)
    unit.textContent = state.unit
    show()
  }
}

/** The cards of the sensors. */
export const sensorCards = list => {
  const cards = cardsOf(list, document.querySelector('#sensor'), create)
  return {
    show(items, isMore) {
      document.querySelector('#no-sensors').hidden = items.length > 0
      const more = document.querySelector('#more-sensors')
      more.hidden = !isMore
      more.textContent = isMore ? `Only the first ${items.length} sensors are shown.` : ''
      cards.show(items)
    }
  }
}
