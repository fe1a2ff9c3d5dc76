"""The demo shop's data: made up, and the same every time for the same last day."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Iterator
from decimal import Decimal

from django.utils import timezone

from project.shop.models import Category, Country, Customer, Order, OrderLine, Product, Status

SEED = 20_240_229
CUSTOMERS = 400
ORDERS = 4_000
DAYS = 548

# Name, price in euros and popularity (1 to 5) by category.
CATALOGUE: dict[str, list[tuple[str, str, int]]] = {
    Category.KITCHEN: [
        ("Cast-iron skillet", "64.00", 5),
        ("Enamel saucepan", "48.50", 4),
        ("Olive-wood board", "36.00", 5),
        ("Stoneware mixing bowl", "29.90", 4),
        ("Copper whisk", "14.50", 3),
        ("Pour-over coffee maker", "42.00", 5),
        ("Burr coffee grinder", "118.00", 2),
        ("Glass storage jar", "9.80", 4),
        ("Beech rolling pin", "18.00", 2),
        ("Salt cellar", "16.50", 2),
    ],
    Category.TABLE: [
        ("Stoneware dinner plate", "17.50", 5),
        ("Linen-white soup bowl", "15.00", 4),
        ("Espresso cup, set of two", "24.00", 4),
        ("Hand-blown tumbler", "12.50", 5),
        ("Carafe with cork", "32.00", 3),
        ("Brushed cutlery, 16 pieces", "89.00", 3),
        ("Serving platter", "38.50", 2),
        ("Cake stand", "54.00", 1),
        ("Oak salad servers", "22.00", 2),
        ("Tea pot, 1.2 l", "46.00", 3),
    ],
    Category.TEXTILES: [
        ("Washed-linen duvet cover", "139.00", 3),
        ("Waffle towel", "19.50", 5),
        ("Wool throw", "95.00", 3),
        ("Linen napkins, set of four", "34.00", 4),
        ("Cotton apron", "28.00", 3),
        ("Cushion cover, rust", "26.50", 4),
        ("Bath mat", "31.00", 3),
        ("Flannel pillow case", "21.00", 2),
        ("Table runner", "39.00", 2),
        ("Oven mitt", "13.50", 3),
    ],
    Category.LIGHTING: [
        ("Paper pendant lamp", "72.00", 4),
        ("Brass desk lamp", "129.00", 2),
        ("Ceramic table lamp", "98.00", 3),
        ("Beeswax candles, box of six", "18.90", 5),
        ("Storm lantern", "44.00", 3),
        ("Clip-on reading light", "35.00", 3),
        ("String lights, 10 m", "27.50", 4),
        ("Oak floor lamp", "219.00", 1),
        ("Candle holder", "14.00", 4),
        ("Filament bulb", "11.50", 3),
    ],
    Category.STATIONERY: [
        ("Dotted notebook", "13.90", 5),
        ("Fountain pen", "49.00", 2),
        ("Letterpress cards, set of ten", "16.00", 4),
        ("Desk calendar", "18.50", 3),
        ("Brass ruler", "12.00", 2),
        ("Pencil set", "9.50", 4),
        ("Leather pen roll", "58.00", 1),
        ("Wrapping paper, five sheets", "8.90", 4),
        ("Recipe box", "29.00", 2),
        ("Wax seal kit", "24.50", 1),
    ],
    Category.GARDEN: [
        ("Copper watering can", "56.00", 3),
        ("Terracotta pot, 24 cm", "19.00", 5),
        ("Hand trowel", "17.50", 4),
        ("Seed collection, herbs", "12.90", 5),
        ("Jute twine", "6.50", 3),
        ("Bird feeder", "33.00", 3),
        ("Folding pruning saw", "41.00", 1),
        ("Garden kneeler", "23.50", 2),
        ("Wicker basket", "37.00", 3),
        ("Slate plant labels", "10.50", 3),
    ],
}

# Share of the customers, cities, given names and family names by country.
PEOPLE: dict[str, tuple[int, str, str, str]] = {
    Country.AUSTRIA: (
        9,
        "Vienna Graz Linz Salzburg Innsbruck",
        "Lena Jakob Valentina Paul Magdalena Felix",
        "Gruber Huber Pichler Steiner Moser Winkler",
    ),
    Country.DENMARK: (
        8,
        "Copenhagen Aarhus Odense Aalborg",
        "Freja Emil Ida Oscar Clara Noah",
        "Jensen Holm Andersen Kjær Møller Lund",
    ),
    Country.FRANCE: (
        16,
        "Paris Lyon Nantes Bordeaux Lille Toulouse",
        "Camille Louis Chloé Hugo Manon Jules",
        "Bernard Petit Laurent Girard Moreau Lefèvre",
    ),
    Country.GERMANY: (
        24,
        "Berlin Hamburg Leipzig Cologne Freiburg Bremen",
        "Anna Jonas Mia Lukas Hannah Ben",
        "Schmidt Weber Becker Vogel Krüger Brandt",
    ),
    Country.IRELAND: (
        8,
        "Dublin Cork Galway Limerick",
        "Aoife Cian Niamh Oisín Saoirse Conor",
        "Murphy Byrne Walsh Doyle Nolan Keane",
    ),
    Country.NETHERLANDS: (
        11,
        "Amsterdam Utrecht Rotterdam Groningen Haarlem",
        "Sanne Daan Lotte Bram Femke Thijs",
        "Bakker Visser Smit Mulder Bos Dekker",
    ),
    Country.SPAIN: (
        10,
        "Madrid Valencia Bilbao Seville Girona",
        "Lucía Mateo Carmen Pablo Alba Diego",
        "García Navarro Ortega Serrano Vidal Romero",
    ),
    Country.UNITED_KINGDOM: (
        14,
        "London Bristol Leeds Edinburgh Cardiff Norwich",
        "Amelia Oliver Isla Harry Poppy George",
        "Taylor Hughes Bennett Clarke Foster Reid",
    ),
}

# How much of each category sells in each month, January first.
SEASONS: dict[str, str] = {
    Category.KITCHEN: "1.0 0.9 0.9 0.9 0.9 0.9 0.8 0.8 1.0 1.1 1.4 1.8",
    Category.TABLE: "0.9 0.9 0.9 1.0 1.1 1.1 1.0 0.9 1.0 1.0 1.3 1.7",
    Category.TEXTILES: "1.3 1.1 0.9 0.8 0.8 0.7 0.7 0.8 1.0 1.2 1.4 1.5",
    Category.LIGHTING: "1.1 1.0 0.9 0.7 0.6 0.6 0.6 0.7 1.1 1.4 1.7 2.0",
    Category.STATIONERY: "1.2 0.9 0.8 0.8 0.8 0.8 0.7 1.1 1.3 1.0 1.3 2.1",
    Category.GARDEN: "0.4 0.7 1.5 2.1 2.3 1.9 1.4 1.1 0.9 0.6 0.4 0.5",
}

# How much sells on each day of the week, Monday first.
WEEK = (1.0, 0.9, 0.95, 1.0, 1.1, 1.25, 1.4)


def make_products() -> list[Product]:
    """The whole catalogue."""
    rng = random.Random(SEED)
    return [
        Product(
            sku=f"{category[:3].upper()}-{number:03}",
            name=name,
            category=category,
            price=Decimal(price),
            stock=rng.randint(0, 40) * popularity,
        )
        for category, things in CATALOGUE.items()
        for number, (name, price, popularity) in enumerate(things, start=1)
    ]


def make_customers(last_day: dt.date) -> list[Customer]:
    """People with distinct addresses, who joined in the days up to the last one."""
    rng = random.Random(SEED + 1)
    countries = list(PEOPLE)
    shares = [PEOPLE[country][0] for country in countries]
    customers = []
    for number in range(1, CUSTOMERS + 1):
        country = rng.choices(countries, shares)[0]
        _, cities, given_names, family_names = PEOPLE[country]
        name = f"{rng.choice(given_names.split())} {rng.choice(family_names.split())}"
        customers.append(
            Customer(
                name=name,
                email=f"customer{number:03}@mail.example",
                country=country,
                city=rng.choice(cities.split()),
                # More than half are there from the start; the others join as the shop grows.
                joined_on=last_day
                - dt.timedelta(days=DAYS + 30 if rng.random() < 0.55 else rng.randint(0, DAYS)),
            )
        )
    return customers


def make_orders(
    products: list[Product], customers: list[Customer], last_day: dt.date
) -> Iterator[tuple[Order, list[OrderLine]]]:
    """Orders with their lines, oldest first: the shop grows, and sells by season and day of the week."""
    rng = random.Random(SEED + 2)
    popularity = {name: stars for things in CATALOGUE.values() for name, _, stars in things}
    seasons = {category: [float(share) for share in shares.split()] for category, shares in SEASONS.items()}
    # A few buy often, most now and then.
    loyalty = [rng.paretovariate(1.6) for _ in customers]
    for number, placed_at in enumerate(_order_times(rng, seasons, last_day), start=1):
        day = placed_at.date()
        known = [index for index, customer in enumerate(customers) if customer.joined_on <= day]
        customer = customers[rng.choices(known, [loyalty[index] for index in known])[0]]
        weights = [
            popularity[product.name] * seasons[product.category][day.month - 1] for product in products
        ]
        order = Order(
            reference=f"FH-{100_000 + number}",
            customer=customer,
            status=_status(rng, (last_day - day).days),
            placed_at=timezone.make_aware(placed_at),
        )
        chosen = {
            rng.choices(products, weights)[0].sku
            for _ in range(rng.choices((1, 2, 3, 4, 5), (38, 30, 18, 9, 5))[0])
        }
        lines = [
            OrderLine(
                order=order,
                product=product,
                quantity=rng.choices((1, 2, 3, 4, 6), (58, 24, 8, 6, 4))[0] if product.price < 60 else 1,
                unit_price=product.price,
            )
            for product in products
            if product.sku in chosen
        ]
        yield order, lines


def _order_times(rng: random.Random, seasons: dict[str, list[float]], last_day: dt.date) -> list[dt.datetime]:
    days = [last_day - dt.timedelta(days=DAYS - 1 - index) for index in range(DAYS)]
    weights = []
    for index, day in enumerate(days):
        growth = math.exp(0.9 * index / DAYS)
        season = sum(shares[day.month - 1] for shares in seasons.values()) / len(seasons)
        weights.append(growth * season * WEEK[day.weekday()] * rng.uniform(0.8, 1.2))
    chosen = rng.choices(days, weights, k=ORDERS)
    return sorted(dt.datetime.combine(day, _time_of_day(rng)) for day in chosen)


def _time_of_day(rng: random.Random) -> dt.time:
    """Most people buy in the evening."""
    return dt.time(int(rng.triangular(6, 23.99, 19)), rng.randrange(60), rng.randrange(60))


def _status(rng: random.Random, age: int) -> str:
    if rng.random() < 0.04:
        return Status.CANCELLED
    if age > 12:
        return Status.DELIVERED
    if age > 5:
        return rng.choice((Status.SHIPPED, Status.DELIVERED))
    if age > 1:
        return rng.choice((Status.PAID, Status.SHIPPED))
    return rng.choice((Status.PLACED, Status.PAID))
