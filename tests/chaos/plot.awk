# Draws the samples of tests/chaos/storm as SVG: four panels over time, and a tick for
# each fault. awk -v title=TEXT -v events=FILE -f tests/chaos/plot.awk samples.csv >plot.svg
# Written by hand because it is forty lines: a charting library would be a dependency of
# the whole workspace for one picture.

BEGIN {
  FS = ","
  width = 900; left = 90; right = 20; high = 110; gap = 46; top = 56
  names[1] = "users at Auth0 and written back"; columns[1] = 3
  names[2] = "users verified"; columns[2] = 6
  names[3] = "memory of the largest worker, MiB"; columns[3] = 9
  names[4] = "connections to PostgreSQL"; columns[4] = 11
  panels = 4
}

NR > 1 && $3 != "" {
  rows++
  second[rows] = $1
  for (p = 1; p <= panels; p++) {
    v = $columns[p] + 0
    if (p == 3) v /= 1024
    value[p, rows] = v
    if (v > most[p]) most[p] = v
  }
  if ($1 > last) last = $1
}

function nice(v,  scale) {
  scale = 1
  while (v / scale > 10) scale *= 10
  v /= scale
  return (v <= 1 ? 1 : v <= 2 ? 2 : v <= 4 ? 4 : v <= 5 ? 5 : v <= 8 ? 8 : 10) * scale
}

function x(s) { return left + s / last * (width - left - right) }

END {
  height = top + panels * (high + gap)
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height
  printf "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n<text x=\"%d\" y=\"24\" font-size=\"15\" font-weight=\"bold\">%s</text>\n", width, height, left, title
  while (events != "" && (getline line < events) > 0) {
    split(line, words, " ")
    faults++
    colour = line ~ /kill -9/ ? "#c0392b" : line ~ /PostgreSQL/ ? "#2471a3" : line ~ /FLUSHALL/ ? "#b7950b" : "#7d8793"
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-opacity=\".35\"/>\n", x(words[1]), x(words[1]), top - 8, height - gap, colour
  }
  printf "<text x=\"%d\" y=\"42\" fill=\"#555\">%d faults: <tspan fill=\"#c0392b\">kill -9</tspan>, <tspan fill=\"#2471a3\">PostgreSQL restarted or cut off</tspan>, <tspan fill=\"#b7950b\">FLUSHALL</tspan>, <tspan fill=\"#7d8793\">stopped and continued, or asked to stop</tspan></text>\n", left, faults
  for (p = 1; p <= panels; p++) {
    y0 = top + (p - 1) * (high + gap) + 14
    limit = nice(most[p] > 0 ? most[p] : 1)
    printf "<text x=\"%d\" y=\"%d\">%s</text>\n", left, y0 - 2, names[p]
    printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#ccc\"/>\n", left, y0 + 4, width - left - right, high
    printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n", left - 6, y0 + 14, limit, left - 6, y0 + 4 + high
    printf "<polyline fill=\"none\" stroke=\"#1b4f72\" stroke-width=\"1.3\" points=\""
    for (i = 1; i <= rows; i++) if (i % 5 == 1 || i == rows) printf "%.1f,%.1f ", x(second[i]), y0 + 4 + high - value[p, i] / limit * high
    printf "\"/>\n"
  }
  for (m = 0; m * 600 <= last; m++) printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">%d min</text>\n", x(m * 600), height - 14, m * 10
  print "</svg>"
}
